"""Each call fails with each code of the file system, in a shorter recording: all of them must do the same harm."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.enumerating import check, record_with
from tests.faults.faulty_disk import CODES, FOR_EVER, FaultyDisk, Way
from tests.faults.recording import Recorded, go_on, parts_of

pytestmark = pytest.mark.usefixtures("small_and_eager")
BATCHES = 2  # a merge, another order of the layers, a segment
WAYS = [(Way.FAIL, 1), (Way.LATE, 1), (Way.FAIL, FOR_EVER)]


def outcome(done: Recorded) -> tuple[object, ...]:
    """What was acknowledged, what was counted as lost, and every byte of every part."""
    parts = {
        path.relative_to(done.path).as_posix(): zlib.crc32(path.read_bytes()) for path in parts_of(done.path)
    }
    return done.acknowledged, done.not_written, parts


def fail_with_every_code(tmp_path: Path, at: int, rows: pd.DataFrame, way: Way, times: int) -> None:
    """The first code is looked at in full; with the others the very same is on disk."""
    first: tuple[object, ...] | None = None
    for code in CODES:
        parent = tmp_path / f"{at}-{code}"
        disk = FaultyDisk(at, way, times=times, code=code)
        done = record_with(parent, disk, BATCHES)
        where = f"{way.value} {times} x {code} at call {at}: {disk.calls[at - 1]}"
        if first is None:
            first = outcome(done)
            check(done, rows, where, once=times == 1)
            go_on(done.path)
        else:
            assert outcome(done) == first, where
        shutil.rmtree(parent)


def points(tmp_path: Path) -> int:
    disk = FaultyDisk()
    record_with(tmp_path / "whole", disk, BATCHES)
    return len(disk.calls)


def test_some_calls_fail_with_every_code(tmp_path: Path, rows: pd.DataFrame) -> None:
    for at in range(11, points(tmp_path) + 1, 61):
        fail_with_every_code(tmp_path, at, rows, Way.FAIL, 1)


@pytest.mark.soak
@pytest.mark.parametrize(("way", "times"), WAYS)
def test_every_call_fails_with_every_code(tmp_path: Path, rows: pd.DataFrame, way: Way, times: int) -> None:
    for at in range(1, points(tmp_path) + 1):
        fail_with_every_code(tmp_path, at, rows, way, times)
