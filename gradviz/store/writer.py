"""`RunWriter`: what the recorder holds. Everything that touches a file happens on its writer's thread."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradviz.errors import RefusedPartError, RunFolderError
from gradviz.schema import EventRecord, Layer, RunState
from gradviz.store import forks
from gradviz.store.callbacks import Callbacks
from gradviz.store.files import Disk
from gradviz.store.inbox import Inbox
from gradviz.store.launches import Launch
from gradviz.store.locks import door
from gradviz.store.manifest import read_manifest
from gradviz.store.mirror import Copy, Mirror, spool_folder
from gradviz.store.opening import PART_KINDS, Opened, go_on, open_new
from gradviz.store.session import Session
from gradviz.store.urls import Remote, is_url

__all__ = ["PART_KINDS", "RunWriter"]


class RunWriter:
    """Writes one rank of one run. `put` never waits, never raises and touches no file.

    Make one with `RunWriter.create`. A writer that is garbage collected without `close` is closed by
    its own thread.
    """

    def __init__(self, opened: Opened, flush_seconds: float, callbacks: Callbacks, *,
                 inbox: Inbox | None = None, url: str | None = None) -> None:  # fmt: skip
        self.path = opened.folder.run
        mirror = None if url is None else Mirror(self.path, opened.folder.rank, f"{url}/{self.path.name}")
        self.url = None if mirror is None else mirror.url
        """Where the run is copied to while it is recorded, or None."""
        self.remark = opened.remark
        """A sentence for the user about where the run is recorded, or None."""
        segment = opened.folder.record.segments[-1]
        self.first_event, self.first_update = segment.first_event, segment.first_update
        """The numbers that the recorder's first event and first window must have."""
        self.began = opened.began
        """The time (`time.monotonic()`) from which `seconds` of the events count."""
        self._generation = forks.generation
        self._inbox = Inbox() if inbox is None else inbox
        self._session = Session(opened.folder, self._inbox, flush_seconds, opened.lock, callbacks, mirror)
        self._session.start(weakref.ref(self))

    @classmethod
    def create(
        cls,
        parent: Path | str,
        name: str,
        layers: Sequence[Layer],
        *,
        accumulation_steps: int | None = None,
        every: int = 1,
        model_class: str = "",
        torch_version: str = "",
        launch: Launch | None = None,
        resume: Path | str | None = None,
        flush_seconds: float = 2.0,
        callbacks: Callbacks | None = None,
        durable: bool = True,
        disk: Disk | None = None,
        inbox: Inbox | None = None,
    ) -> RunWriter:
        """Create the run folder `<parent>/<YYYYMMDD-HHMMSS>-<name>-<4 hex>` and start its writer's thread.

        Args:
            parent: folder of runs, made when missing; or an fsspec URL, to which the run is copied.
            name: any text; kept in `run.json`, made safe in the folder's name.
            layers: the layers known at the start.
            accumulation_steps: what the user declared, kept for comparison only.
            every: each `every`-th window is recorded.
            model_class, torch_version: kept in `run.json`.
            launch: the place of this process among those that train together: they share a folder.
            resume: a run (or its URL) to go on with instead of making one; layers are matched by name.
            flush_seconds: at most so much is lost by kill -9.
            callbacks: called on the writer's thread. None of them may hold the writer strongly.
            durable: force each part to the device (fsync).
            disk, inbox: the file system and the queue; others in tests.

        Raises:
            RunFolderError: the folder cannot be created, or the run to resume is being recorded, or its
                layers of the same names have other shapes.
            RunNotFoundError, RunFormatError: there is no such run to resume, or it cannot be read.
        """
        disk, launch = disk or Disk(), launch or Launch()
        url, parent, resume = _local(parent, resume)
        facts = {"accumulation_steps": accumulation_steps, "every": every, "model_class": str(model_class),
                 "torch_version": str(torch_version), "flush_seconds": flush_seconds}  # fmt: skip
        if resume is None:
            with _said(parent):
                opened = open_new(parent, name, layers, launch, facts, disk=disk, durable=durable)
        else:
            with _said(resume):
                opened = _resumed(resume, layers, launch, disk, durable=durable)
        return cls(opened, flush_seconds, callbacks or Callbacks(), inbox=inbox, url=url)

    def put(self, event: EventRecord) -> bool:
        """Queue one event; False when it was dropped (and counted)."""
        return forks.generation == self._generation and self._inbox.put(event)

    def add_layers(self, layers: Sequence[Layer]) -> None:
        """Append layers to the run's table; events that use them come after this call."""
        if forks.generation == self._generation:
            self._inbox.add_layers(layers)

    def describe(self, **facts: Any) -> None:
        """Add entries to `run.json` (JSON values): `forward_order`, `optimizers`, ...; a later one wins."""
        if forks.generation == self._generation:
            self._inbox.describe(facts)

    def note_error(self, text: str) -> None:
        """Keep an error's text in the run: the last few are shown, all are counted."""
        if forks.generation == self._generation:
            self._session.note(text)

    @property
    def dropped(self) -> int:
        """Events that were not written: the queue was full or the disk failed."""
        return self._inbox.dropped

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every event put before this call is on disk or given up; False when that takes too long.

        The writer's own thread does not wait for itself.
        """
        deadline, put = time.monotonic() + timeout, self._inbox.accepted + self.dropped
        while self._session.thread.is_alive() and self._settled() < put:
            own = threading.current_thread() is self._session.thread
            if own or time.monotonic() > deadline or forks.generation != self._generation:
                return False
            self._inbox.ring()
            time.sleep(0.01)
        return True

    def _settled(self) -> int:
        """Events that are on disk or given up."""
        waiting = self._session.not_written() - self.dropped
        return self._inbox.accepted + self.dropped - waiting

    def close(
        self, state: RunState = RunState.FINISHED, *, reason: str | None = None, timeout: float = 10.0
    ) -> int:
        """Write what is queued, merge, say how the run ended; returns the events not written.

        Idempotent: the first state stays. Returns after `timeout` seconds even when the disk hangs; on the
        writer's own thread at once, with 0: it goes on writing after that.
        """
        if forks.generation != self._generation:
            return 0
        self._session.request_close(state, reason, timeout)
        if threading.current_thread() is self._session.thread:
            return 0
        self._session.join(timeout)
        return self._session.not_written()


@contextmanager
def _said(place: Path) -> Iterator[None]:
    """What the file system refuses, as a sentence."""
    try:
        yield
    except (OSError, ValueError, RefusedPartError) as error:
        raise RunFolderError(
            f"Cannot record into {place.absolute()}: {error}. "
            "Choose another folder with run_dir=... or $GRADVIZ_DIR."
        ) from error


def _resumed(run: Path, layers: Sequence[Layer], launch: Launch, disk: Disk, *, durable: bool) -> Opened:
    """Go on with a run; `.resume.lock` lets one process through at a time."""
    read_manifest(run, disk)  # else the door would be where no run is
    with door(run / ".resume.lock", disk):
        return go_on(run, layers, launch, disk=disk, durable=durable)


def _local(parent: Path | str, resume: Path | str | None) -> tuple[str | None, Path, Path | None]:
    """The URL of the folder of runs, and the folders of this machine that stand for what was given."""
    if isinstance(resume, str) and is_url(resume):
        url = resume.rstrip("/").rpartition("/")[0]
        spool = spool_folder(url)
        return url, spool, Copy(resume, spool).fetch_missing()
    if isinstance(parent, str) and is_url(parent) and resume is None:
        url = Remote(parent).url  # raises where there is no way to it
        return url, spool_folder(url), None
    return None, Path(parent), None if resume is None else Path(resume)
