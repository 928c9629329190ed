"""Opens the run that a recorder writes to, and says what happens on its writer's thread."""

from __future__ import annotations

import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import Any

from gradviz.errors import GradvizError, RunFolderError
from gradviz.recording.announcing import Announcer, OnFinding
from gradviz.recording.forwarding import Forwarder
from gradviz.recording.guard import warn
from gradviz.recording.launch import this_launch
from gradviz.recording.parameters import WatchedParameters
from gradviz.store import RunWriter
from gradviz.store.callbacks import Callbacks
from gradviz.store.places import default_place
from gradviz.store.urls import local_or_url


def open_writer(
    watched: WatchedParameters,
    facts: dict[str, Any],
    *,
    run_dir: Any = None,
    name: str | None = None,
    resume: Any = None,
    on_finding: OnFinding | None = None,
    forward: Any = None,
    strict: bool = False,
) -> RunWriter:
    """A writer into the run to resume, else a new run, else a run in a fallback folder.

    `facts` are entries of `run.json`. What happens on the writer's thread holds the writer weakly.
    """
    name = name or facts["model_class"]
    facts = facts | {"launch": this_launch(watched, name)}
    create = partial(_create, name, watched, on_finding, None if forward is None else Forwarder(forward))
    folder = default_place() if run_dir is None else local_or_url(run_dir)
    if resume is not None:
        try:
            return create(folder, facts | {"resume": local_or_url(resume)})
        except GradvizError as error:
            if strict:
                raise
            warn(f"{error} Recording a new run instead.")
    try:
        return create(folder, facts)
    except RunFolderError as error:
        if strict:
            raise
        writer = create(Path(tempfile.gettempdir()) / "gradviz_runs", facts)
        warn(f"{error} Recording to {writer.path} instead.")
        return writer


def _create(
    name: str,
    watched: WatchedParameters,
    on_finding: OnFinding | None,
    forwarder: Forwarder | None,
    folder: Path | str,
    facts: dict[str, Any],
) -> RunWriter:
    """A writer that closes the run by itself, at its next flush, once the model is gone."""
    created: list[weakref.ref[RunWriter]] = []
    announcer = None if on_finding is None else Announcer(on_finding)

    def look(*, final: bool = False) -> None:
        writer = created[0]() if created else None
        if writer is not None and watched.gone():
            writer.close(reason="the model was deleted")
        if writer is not None and announcer is not None:
            announcer.look(writer.path, final=final)

    on_batch = None if forwarder is None else forwarder.take
    callbacks = Callbacks(look, on_batch, lambda: look(final=True))
    writer = RunWriter.create(folder, name, watched.layers, callbacks=callbacks, **facts)
    created.append(weakref.ref(writer))
    if writer.remark:
        warn(writer.remark)
    return writer
