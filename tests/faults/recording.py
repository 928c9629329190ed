"""One recording with everything in it that a writer does, on a disk that may fail; and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from gradviz.schema import BINS, EventRecord, Layer, Phase, RunState
from gradviz.store import Run, RunWriter, list_runs, open_run
from tests.faults.faulty_disk import FaultyDisk, PowerCut
from tests.store.made_runs import NEVER, make_events, make_layers, write_run

LAYERS = make_layers(3)
BATCH = 4
BATCHES = 5
LATER = 2  # the batch from which the third layer is there
AFTER = 8  # events of the process that goes on


def made_events(count: int = BATCH * BATCHES) -> list[EventRecord]:
    """Events of two layers, then of three; updates count by exponent."""
    events = make_events(LAYERS, count)
    return [_with_counts(_of_two(event) if event.event < BATCH * LATER else event) for event in events]


def _of_two(event: EventRecord) -> EventRecord:
    return event._replace(
        layer_ids=event.layer_ids[:2], numels=event.numels[:2], sums=np.asarray(event.sums)[:2]
    )


def _with_counts(event: EventRecord) -> EventRecord:
    if event.phase is not Phase.UPDATE or event.update % 3:
        return event
    counts = np.zeros((len(event.layer_ids), BINS), dtype=np.int64)
    counts[:, 40] = event.numels
    return event._replace(counts=counts)


EVENTS = made_events()


@dataclass
class Recorded:
    """What a recording did: which events were acknowledged, which were counted as not written."""

    path: Path
    acknowledged: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    put: int = 0
    not_written: int = 0
    finished: bool = False


def record(parent: Path, disk: FaultyDisk, batches: int = BATCHES) -> Recorded:
    """Record in batches until the end, or until the process dies; each batch is a flush, a merge and a heartbeat."""
    writer = start(parent, LAYERS[:2], disk)
    done = Recorded(writer.path, put=BATCH * batches)
    disk.arm()
    try:
        for number, first in enumerate(range(0, done.put, BATCH)):
            if number == LATER:
                writer.add_layers(LAYERS[2:])
            if number == LATER - 1:
                writer.describe(forward_order=[1, 0, 2])
            _record_batch(writer, EVENTS[first : first + BATCH], done)
        done.not_written = close(writer)
        done.finished = True
    except PowerCut:
        close(writer)  # releases the lock, as the kernel would
    return done


def start(parent: Path, layers: Sequence[Layer], disk: FaultyDisk, **options: object) -> RunWriter:
    """A writer that flushes when it is told to."""
    return RunWriter.create(parent, "made", layers, disk=disk, flush_seconds=NEVER, **options)  # type: ignore[arg-type]


def tick(writer: RunWriter) -> None:
    """What the writer's thread does every few seconds, on this one."""
    writer._session._tick()


def close(writer: RunWriter) -> int:
    """Close; the thread does what is left."""
    return writer.close(timeout=60)


def _record_batch(writer: RunWriter, batch: Sequence[EventRecord], done: Recorded) -> None:
    before = writer.dropped
    done.in_flight = [event.event for event in batch]
    for event in batch:
        assert writer.put(event)
    tick(writer)
    lost = writer.dropped - before
    assert lost in (0, len(batch)), "a batch is written or dropped, whole"
    if not lost:
        done.acknowledged += done.in_flight
    done.in_flight = []


def truth(parent: Path) -> pd.DataFrame:
    """The rows of the recording where nothing fails."""
    return open_run(write_run(parent, LAYERS, [EVENTS])).gradients()


def check_rows(run: Run, rows: pd.DataFrame, where: str) -> list[int]:
    """What is shown is right, whole, undamaged, once, and its gaps are said; returns the events that are shown."""
    shown = run.events()["event"].tolist()
    expected = rows[rows["event"].isin(shown)].reset_index(drop=True)
    pd.testing.assert_frame_equal(_plain(run.gradients()), _plain(expected), obj=where)
    assert run.damaged == run.verify() == [], where
    assert sorted(set(shown)) == shown, where
    last = max(shown, default=-1)
    missing = sorted(set(range(last + 1)) - set(shown))
    assert [event for first, last in run.gaps for event in range(first, last + 1)] == missing, where
    updates = rows[rows["event"].isin(shown) & (rows["phase"] == "update")]
    sound = updates[np.isfinite(updates["l2"])]
    overview = run.overview()
    assert overview["count"].sum() == len(sound), where
    counted = run.distributions().groupby("event").size()
    wanted = updates[updates["update"] % 3 == 0].groupby("event").size()
    assert counted.to_dict() == wanted.to_dict(), where
    return shown


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """In an order that does not depend on the forward order, which a run may not know."""
    ordered = rows.astype({"layer": object}).sort_values(["layer", "event"], kind="stable")
    return ordered.reset_index(drop=True)


def go_on(path: Path) -> None:
    """Another process records `AFTER` more events into the run, on a disk that works."""
    writer = start(path.parent, LAYERS, FaultyDisk(), resume=path)
    before = open_run(path).events()["event"].tolist()
    first = writer.first_event
    assert first > max(before, default=-1)
    for event in make_events(LAYERS, AFTER, first=first):
        assert writer.put(event._replace(update=writer.first_update + event.update - first // 4))
    assert close(writer) == 0
    run = open_run(path)
    assert run.events()["event"].tolist() == [*before, *range(first, first + AFTER)]
    assert run.state is RunState.FINISHED
    assert run.damaged == run.verify() == []
    assert len(list_runs(path.parent)) == 1


def parts_of(path: Path) -> Iterator[Path]:
    """Every part of a run."""
    return path.glob("*/rank=*/part-*.parquet")
