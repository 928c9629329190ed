"""What is wrong with the folders of runs, and the little of it that can be mended without a risk.

Only what can be made again from what is there, or was never finished, is ever touched, and never while
somebody writes the run: stray temporary files and missing overviews. Damage is named and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gradviz.errors import GradvizError, RunFolderError
from gradviz.schema import RunState
from gradviz.store import manifest as manifests
from gradviz.store.batches import LayerNames
from gradviz.store.files import Disk
from gradviz.store.listing import RunSummary, list_runs
from gradviz.store.locks import is_locked, release_lock, take_lock
from gradviz.store.merging import Merger
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import DamagedPart, PartSet
from gradviz.store.parts import parse_part_name, part_folder
from gradviz.store.rank_files import ranks_of
from gradviz.store.run import open_run
from gradviz.store.tail import SEGMENT_EVENTS, MergePlan, TailPart

KINDS = ("gradients", "events", "distributions", "overview")
_TEMPORARY = re.compile(
    r"\.(part-\d+-\d+\.parquet|(run|heartbeat-\d+|rank-\d+)\.json(\.\d+)?)\.tmp", re.ASCII
)


@dataclass(frozen=True)
class Ailment:
    """One thing that is wrong with a run: `kind`, where, in words, and what mends it (None: nothing does safely).

    Kinds: `unreadable`, `interrupted`, `dropped`, `damaged`, `temporary`, `overview`.
    """

    run: Path
    kind: str
    found: str
    advice: str
    mend: Callable[[], None] | None = None


def ailments(folder: Path, *, read_all: bool = False) -> Iterator[Ailment]:
    """What is wrong with the runs at or below a folder, run by run; nothing is changed by asking.

    Damage is looked for in the footers of the parts; with `read_all` in every page, by its checksum.
    """
    for summary in list_runs(folder):
        if summary.problem is not None:
            advice = "Put a copy of its run.json back, or read it with a newer gradviz if it says so."
            yield Ailment(summary.path, "unreadable", summary.problem, advice)
            continue
        if summary.state is RunState.INTERRUPTED:
            advice = "What had reached the disk is there. watch(..., resume=...) goes on with it."
            yield Ailment(summary.path, "interrupted", "its process ended without a word", advice)
        if summary.dropped:
            advice = (
                "They are drawn as gaps. The errors in the heartbeat say why: usually a full or slow disk."
            )
            yield Ailment(summary.path, "dropped", f"{summary.dropped} events were not written", advice)
        yield from _inside(summary, read_all)


def _inside(summary: RunSummary, read_all: bool) -> Iterator[Ailment]:
    run = summary.path
    for part in _damage(run, read_all):
        advice = "It is left out and its events are drawn as a gap. Put back a copy if there is one."
        yield Ailment(run, "damaged", part.reason, advice)
    for rank in ranks_of(run):
        if is_locked(run, rank):
            continue  # its writer is alive: a temporary file is its work, an overview comes with the segment
        for path in stray_temporaries(run, rank):
            found = f"{path.relative_to(run).as_posix()} was never finished"
            mend = partial(_alone, run, rank, partial(Disk().remove, path))
            yield Ailment(run, "temporary", found, "No reader looks at it; it only takes space.", mend)
        for part_file in without_overview(run, rank, ended=summary.state is not RunState.INTERRUPTED):
            found = f"{part_file.path.relative_to(run).as_posix()} has no overview"
            mend = partial(_alone, run, rank, partial(_write_overview, run, rank, part_file))
            advice = "It is added up again whenever the run is opened, which takes time."
            yield Ailment(run, "overview", found, advice, mend)


def _damage(path: Path, read_all: bool) -> list[DamagedPart]:
    try:
        run = open_run(path)
        return run.verify() if read_all else run.damaged
    except (GradvizError, OSError):  # gone or refused since it was listed
        return []


def stray_temporaries(run: Path, rank: int) -> list[Path]:
    """Files that a writer began and did not finish; those beside `run.json` count for rank 0."""
    folders = [part_folder(run, kind, rank) for kind in KINDS] + ([run] if rank == 0 else [])
    return [
        folder / name for folder in folders for name in Disk().names(folder) if _TEMPORARY.fullmatch(name)
    ]


def without_overview(run: Path, rank: int, *, ended: bool) -> list[PartFile]:
    """Readable gradient parts that should have an overview: full segments, and all of a run that was closed."""
    present = Disk().names(part_folder(run, "overview", rank))
    known = [events for name in present if (events := parse_part_name(name)) is not None]
    parts = PartSet(run, "gradients", rank).current()
    return [
        part
        for part in parts
        if (ended or part.events.last - part.events.first >= SEGMENT_EVENTS - 1)
        and not any(events.covers(part.events) for events in known)
    ]


def _write_overview(run: Path, rank: int, part: PartFile) -> None:
    folder = part_folder(run, "overview", rank)
    folder.mkdir(parents=True, exist_ok=True)
    names = LayerNames(manifests.layers_of(manifests.read_manifest(run), run))
    events = part.events
    tail = TailPart(events, events.last - events.first + 1, sum(part.rows))
    for _ in Merger(run, rank, Disk(), durable=True).merge(MergePlan((tail,), seals=True), names):
        pass


def _alone(run: Path, rank: int, work: Callable[[], object]) -> None:
    """Do the work as the only writer of the rank; RunFolderError where there is another, or it cannot be done."""
    lock = take_lock(run, rank)
    if lock is None:
        raise RunFolderError(f"{run} is being recorded, or cannot be locked. Nothing was changed.")
    try:
        work()
    except OSError as error:
        raise RunFolderError(f"{run} cannot be mended: {error}.") from error
    finally:
        release_lock(lock)
