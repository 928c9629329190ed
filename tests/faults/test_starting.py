"""Each call of a recording's beginning fails: a new run, one that goes on, a rank that joins one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gradviz.errors import GradvizError
from gradviz.store import RunWriter, flocks, list_runs, open_run
from gradviz.store.launches import Launch
from gradviz.store.places import DEFAULT_NAME
from tests.faults.faulty_disk import CODES, FaultyDisk, PowerCut, Way
from tests.faults.recording import BATCH, LAYERS, close, record, start, tick
from tests.store.made_runs import make_events

pytestmark = pytest.mark.usefixtures("small_and_eager")
Begin = Callable[[Path, FaultyDisk], RunWriter]
WAYS = (Way.FAIL, Way.LATE, Way.DIE, Way.DIE_LATE)


def a_new_run(parent: Path, disk: FaultyDisk) -> RunWriter:
    """In the folder that is made when it is missing."""
    return start(parent / DEFAULT_NAME, LAYERS, disk)


def one_that_goes_on(parent: Path, disk: FaultyDisk) -> RunWriter:
    """A process before it has recorded, and has left parts to merge."""
    if not parent.exists():
        dying = FaultyDisk(60, Way.DIE)
        assert record(parent, dying, 2).acknowledged
    (run,) = list_runs(parent)
    return start(parent, LAYERS[:2], disk, resume=run.path)


def a_rank_that_joins(parent: Path, disk: FaultyDisk) -> RunWriter:
    """Another rank has made the folder; this one brings a layer, and the door of `run.json` is between them."""
    if not parent.exists():
        close(start(parent, LAYERS[:2], FaultyDisk(), launch=Launch(0, 2, 0, "key")))
    return start(parent, LAYERS[:2], disk, launch=Launch(1, 2, 0, "key"))


def begin_and_record(begin: Begin, parent: Path, disk: FaultyDisk) -> int:
    """Begin and bring a layer on this disk; then it is mended, and a batch is recorded. Returns what was written."""
    writer = begin(parent, disk)
    try:
        writer.add_layers(LAYERS[2:])
        tick(writer)
        disk.mend()
        for event in make_events(LAYERS[:2], BATCH, first=writer.first_event):
            writer.put(event._replace(update=writer.first_update))
    finally:
        not_written = close(writer)
    return BATCH - not_written


def fail_at(begin: Begin, sound: Path, parent: Path, at: int, way: Way, code: int) -> bool:
    """Whether there was such a call. It begins, or says why not; after that it begins on a sound disk."""
    if sound.exists():
        shutil.copytree(sound, parent)
    before = {run.path: len(open_run(run.path).events()) for run in list_runs(parent)}
    disk = FaultyDisk(at, way, code=code)
    disk.arm()
    written = 0
    with contextlib.suppress(GradvizError, PowerCut):
        written = begin_and_record(begin, parent, disk)
    for descriptor in list(flocks._held):
        flocks.release_lock(descriptor)  # as the kernel does when a process dies
    assert begin_and_record(begin, parent, FaultyDisk()) == BATCH
    runs = list_runs(parent)
    assert [run.problem for run in runs] == [None] * len(runs)
    held = {run.path: open_run(run.path) for run in runs}
    assert all(run.verify() == [] for run in held.values())
    assert all(len(held[path].events()) >= events for path, events in before.items())
    assert sum(
        len(open_run(path, rank=rank).events()) for path, run in held.items() for rank in run.ranks
    ) == (BATCH + written + sum(before.values()))
    shutil.rmtree(parent)
    return len(disk.calls) >= at


@pytest.fixture
def sound(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """What is there before it begins."""
    if (begin := request.getfixturevalue("begin")) is not a_new_run:
        close(begin(tmp_path / "sound", FaultyDisk()))
    return tmp_path / "sound"


BEGINS = [a_new_run, one_that_goes_on, a_rank_that_joins]


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("way", WAYS)
def test_some_calls_of_a_beginning_fail(tmp_path: Path, sound: Path, begin: Begin, way: Way) -> None:
    for at in (1, 13):
        assert fail_at(begin, sound, tmp_path / "runs", at, way, CODES[at % len(CODES)])


@pytest.mark.soak
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("way", WAYS)
def test_every_call_of_a_beginning_fails(tmp_path: Path, sound: Path, begin: Begin, way: Way) -> None:
    """With every code where one is seen."""
    for code in CODES if way is Way.FAIL else CODES[:1]:
        at = 1
        while fail_at(begin, sound, tmp_path / "runs", at, way, code):
            at += 1
        assert at > 15, "it makes more calls than that"
