"""`list_runs`: which runs a folder holds, from their `run.json` and heartbeat alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradviz.errors import RunFormatError, RunNotFoundError
from gradviz.schema import FORMAT_MARK, RunState
from gradviz.store import manifest as manifests
from gradviz.store.inline import facts_html, rows_html
from gradviz.store.known_runs import KnownRuns
from gradviz.store.mirror import copies_at
from gradviz.store.rank_files import ranks_named, ranks_of
from gradviz.store.standing import standing_of
from gradviz.store.urls import is_url

DEPTH = 3
MAY_GO_ON = {RunState.LIVE, RunState.INTERRUPTED}  # what they are depends on a lock and on the clock, too


@dataclass(frozen=True)
class RunSummary:
    """One line about a run. `problem` is a sentence when it cannot be opened; times are seconds since the epoch."""

    name: str
    path: Path
    state: RunState
    created: datetime
    model_class: str
    layers: int
    accumulation_steps: int | None
    updates: int | None
    events: int | None
    dropped: int
    last_event_at: float | None
    problem: str | None
    reason: str | None = None
    ranks: tuple[int, ...] = (0,)

    @property
    def seconds_since_last_event(self) -> float | None:
        """How long ago the last event was recorded; None before the first."""
        return None if self.last_event_at is None else max(0.0, time.time() - self.last_event_at)

    def _repr_html_(self) -> str:
        """What is known of the run, for a notebook."""
        facts = {
            "state": self.state.value + (f" ({self.reason})" if self.reason else ""),
            "started": f"{self.created:%Y-%m-%d %H:%M} UTC",
            "model": self.model_class or None,
            "layers": self.layers,
            "windows": self.updates or 0,
            "micro-steps declared": self.accumulation_steps,
            "ranks": len(self.ranks) if len(self.ranks) > 1 else None,
            "events dropped": self.dropped or None,
            "problem": self.problem,
            "folder": self.path,
        }
        return facts_html(self.name, facts)


class RunList(list[RunSummary]):
    """Runs, newest first; a table in a notebook."""

    def _repr_html_(self) -> str:
        heads = ("run", "state", "started", "model", "layers", "windows", "problem")
        rows = (
            (
                one.name,
                one.state.value,
                f"{one.created:%Y-%m-%d %H:%M}",
                one.model_class,
                one.layers,
                one.updates,
                one.problem,
            )
            for one in self
        )
        return rows_html(heads, rows)


def list_runs(folder: str | Path, *, known: KnownRuns[RunSummary] | None = None) -> RunList:
    """List the runs at or below a folder, newest first; foreign folders are ignored, links not followed.

    A run that cannot be opened (damaged `run.json`, newer format) is listed with its `problem`. Of an fsspec
    URL the runs directly below it are listed; `path` is then that of a copy, which `open_run` fills. What is
    `known` of ended runs from a listing before is not read again.
    """
    place = copies_at(folder) if isinstance(folder, str) and is_url(folder) else Path(folder)
    found = _summaries(str(place), DEPTH, KnownRuns() if known is None else known)
    return RunList(sorted(found, key=lambda summary: (summary.created, summary.path.name), reverse=True))


def _summaries(folder: str, depth: int, known: KnownRuns[RunSummary]) -> Iterator[RunSummary]:
    """The runs at or below a folder, in no order."""
    kept = known.unchanged(folder)
    if kept is not None:
        yield kept
        return
    try:
        with os.scandir(folder) as entries:
            inside = list(entries)
    except OSError:
        return
    if any(entry.name == manifests.FILE_NAME for entry in inside):
        names = [entry.name for entry in inside]
        stamp = known.stamp(folder, names)
        summary = _summary(Path(folder), names)
        if summary is not None:
            if summary.problem is None and summary.state not in MAY_GO_ON:
                known.remember(folder, names, summary, stamp)
            yield summary
    elif depth:
        for entry in inside:
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _summaries(entry.path, depth - 1, known)


def _summary(path: Path, names: Sequence[str]) -> RunSummary | None:
    try:
        manifest = manifests.read_manifest(path)
    except RunNotFoundError:
        return None
    except RunFormatError as error:
        return None if _is_foreign(path) else _problem(path, str(error))
    ranks = sorted(ranks_named(names)) or ranks_of(path)
    standing = standing_of(path, ranks)
    layers = manifest.get("layers")
    return RunSummary(
        name=str(manifest.get("name", path.name)),
        path=path,
        state=standing.state,
        created=manifests.created_of(manifest),
        model_class=str(manifest.get("model_class", "")),
        layers=len(layers) if isinstance(layers, list) else 0,
        accumulation_steps=_count(manifest.get("accumulation_steps")),
        updates=None if standing.last_update is None else standing.last_update + 1,
        events=standing.events,
        dropped=standing.dropped,
        last_event_at=standing.last_event_at,
        problem=None,
        reason=standing.reason,
        ranks=tuple(ranks),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def _is_foreign(path: Path) -> bool:
    """Whether a `run.json` that we do not understand belongs to another program."""
    try:
        with (path / manifests.FILE_NAME).open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    ours = FORMAT_MARK.encode() in head or any((path / kind).is_dir() for kind in ("gradients", "events"))
    return not ours


def _problem(path: Path, text: str) -> RunSummary:
    try:
        created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        created = datetime.fromtimestamp(0, UTC)
    return RunSummary(path.name, path, RunState.DAMAGED, created, "", 0, None, None, None, 0, None, text)
