"""Recordings of which the n-th call to the file system fails, hangs or is the last: what must hold after each."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pandas as pd

from gradviz.errors import GradvizWarning
from gradviz.schema import RunState
from gradviz.store import open_run
from tests.faults.faulty_disk import FaultyDisk, Way
from tests.faults.recording import (
    BATCH,
    BATCHES,
    EVENTS,
    LAYERS,
    Recorded,
    check_rows,
    go_on,
    parts_of,
    record,
    start,
)
from tests.store.made_runs import wait_for


def record_with(parent: Path, disk: FaultyDisk, batches: int = BATCHES) -> Recorded:
    """Record; at most one warning, which is ours."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # a process that died has closed none of its files
        done = record(parent, disk, batches)
    said = [(warning.category, str(warning.message)) for warning in caught]
    assert [category for category, _ in said] in ([], [GradvizWarning]), said
    return done


def check(done: Recorded, rows: pd.DataFrame, where: str, *, once: bool) -> None:
    """Shown + dropped + lost = recorded, and what was acknowledged is shown."""
    run = open_run(done.path)
    shown = check_rows(run, rows, where)
    assert set(done.acknowledged) <= set(shown), where
    assert len(shown) + done.not_written == done.put, where
    assert run.state is (RunState.FINISHED if once else run.state), where
    if once:
        assert done.not_written <= BATCH, where
        assert run.dropped == done.not_written, where
        assert run.layers["layer"].tolist()[0] == "layer_1.weight", where
        assert len(list(parts_of(done.path))) <= 4 * 4 + 2, f"{where}: merging has stopped"
    assert run.dropped <= done.not_written, where


def points(tmp_path: Path, rows: pd.DataFrame) -> int:
    """How many calls the recording makes where none fails."""
    disk = FaultyDisk()
    done = record_with(tmp_path / "whole", disk)
    check(done, rows, "nothing fails", once=True)
    assert done.not_written == 0
    for call in ("sync", "sync_folder", "replace", "remove", "open_new", "write", "make_folder", "reading"):
        assert any(call in made for made in disk.calls), f"the recording never calls {call}"
    return len(disk.calls)


def fail_at(tmp_path: Path, numbers: range, rows: pd.DataFrame, ways: list[tuple[Way, int]]) -> None:
    for at in numbers:
        for way, times in ways:
            parent = tmp_path / f"{at}-{way.value}-{times}"
            disk = FaultyDisk(at, way, times=times)
            done = record_with(parent, disk)
            assert len(disk.calls) >= at
            where = f"{way.value} {times} x {disk.code} at call {at}: {disk.calls[at - 1]}"
            check(done, rows, where, once=times == 1)
            go_on(done.path)
            shutil.rmtree(parent)


def die_at(tmp_path: Path, numbers: range, rows: pd.DataFrame) -> None:
    """The process is gone before, and after, each of these calls: what was acknowledged is there, and it goes on.

    After the same changes there is the same on disk, which is looked at once.
    """
    seen: set[tuple[str, ...]] = set()
    for at in numbers:
        for way in (Way.DIE, Way.DIE_LATE):
            parent = tmp_path / f"{at}-{way.value}"
            disk = FaultyDisk(at, way)
            done = record_with(parent, disk)
            assert disk.dead
            left = (*disk.changes, f"acknowledged: {done.acknowledged}")
            if left not in seen:
                _check_death(done, rows, f"{way.value} at call {at}: {disk.calls[at - 1]}")
            seen.add(left)
            shutil.rmtree(parent)


def _check_death(done: Recorded, rows: pd.DataFrame, where: str) -> None:
    shown = check_rows(open_run(done.path), rows, where)
    if not done.finished:  # else it died while it closed
        assert shown in (done.acknowledged, [*done.acknowledged, *done.in_flight]), where
    assert set(done.acknowledged) <= set(shown), where
    go_on(done.path)


def hang_at(tmp_path: Path, numbers: range, rows: pd.DataFrame, *, comes_back: bool) -> None:
    """Each of these calls waits: until the disk has come back to itself before `close`, or after it gave up."""
    for at in numbers:
        parent = tmp_path / f"{at}"
        _hang(parent, at, rows, comes_back=comes_back)
        shutil.rmtree(parent)


def _hang(parent: Path, at: int, rows: pd.DataFrame, *, comes_back: bool) -> None:
    disk = FaultyDisk(at, Way.HANG)
    writer = start(parent, LAYERS, disk)
    disk.arm()
    for first in range(0, len(EVENTS), BATCH):
        for event in EVENTS[first : first + BATCH]:
            assert writer.put(event), "nothing is dropped while there is room"
        writer._inbox.ring()
        wait_for(lambda put=first + BATCH: disk.waiting.is_set() or writer._settled() >= put)
    if not disk.waiting.is_set():  # then it is a call of the end
        writer._session.request_close(RunState.FINISHED, None, timeout=60)
        wait_for(lambda: disk.waiting.is_set() or not writer._session.thread.is_alive(), 240)
    hangs = disk.waiting.is_set() and not comes_back
    if comes_back:
        disk.mend()
    where = f"hang at call {at}: {disk.calls[at - 1] if disk.waiting.is_set() else 'never reached'}"
    not_written = writer.close(timeout=0.0 if hangs else 60)
    assert 0 <= not_written <= (len(EVENTS) if hangs else 0), where
    disk.mend()
    writer._session.thread.join(60)
    assert not writer._session.thread.is_alive(), where
    shown = check_rows(open_run(writer.path), rows, where)
    assert len(shown) + writer.dropped == len(EVENTS), where
    assert open_run(writer.path).state is RunState.FINISHED, where
    go_on(writer.path)
