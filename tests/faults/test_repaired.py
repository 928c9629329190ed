"""Calls that once did more harm than they had to, each by its name."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gradviz.errors import RunFolderError
from gradviz.schema import RunState
from gradviz.store import open_run
from gradviz.store import session as sessions
from gradviz.store import tail as tails
from gradviz.store.files import Disk
from gradviz.store.part_set import PartSet
from gradviz.store.places import DEFAULT_NAME
from tests.faults.faulty_disk import FOR_EVER, FaultyDisk
from tests.faults.recording import AFTER, EVENTS, LAYERS, close, go_on, parts_of, start, tick
from tests.store.made_runs import make_events, write_run


class Refusing(FaultyDisk):
    """Fails at the calls of one name, the first `times` of them."""

    def __init__(self, name: str, *, times: int = 1, late: bool = False) -> None:
        super().__init__()
        self.name, self.left, self.late = name, times, late

    def around(self, label: str, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Refuse."""
        if not self.armed or not self.left or not label.startswith(self.name):
            return call()
        self.left -= 1
        if self.late:
            call()
        raise OSError(errno.EIO, f"refused: {label}")


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sessions, "LONGEST_PAUSE", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_a_layer_whose_table_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    """It counted as known, was never written, and every later part was damage to the reader."""
    disk = Refusing("replace .run.json")
    writer = start(tmp_path, LAYERS[:2], disk)
    disk.arm()
    writer.add_layers(LAYERS[2:])
    for first in (8, 12):
        for event in make_events(LAYERS, 4, first=first):
            writer.put(event)
        tick(writer)
    assert close(writer) == 4
    run = open_run(writer.path)
    assert run.layers["layer"].tolist() == [layer.name for layer in LAYERS]
    assert run.gradients()["event"].unique().tolist() == [12, 13, 14, 15]
    assert run.damaged == []


@pytest.mark.parametrize(("name", "late"), [("sync_folder", False), ("replace part", True)])
@pytest.mark.parametrize("times", [1, FOR_EVER])
def test_a_part_that_has_its_name_counts(tmp_path: Path, name: str, late: bool, times: int) -> None:
    """It was shown and counted as dropped, and the next merge removed it. Some file systems sync no folder at all."""
    disk = Refusing(f"{name}", times=times, late=late)
    writer = start(tmp_path, LAYERS[:2], disk)
    disk.arm()
    for first in range(0, 8, 4):
        for event in EVENTS[first : first + 4]:
            writer.put(event)
        tick(writer)
    assert close(writer) == 0
    assert open_run(writer.path).events()["event"].tolist() == list(range(8))


def test_what_a_merge_could_not_remove_does_not_end_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one looked for what had been removed already, and so did all that came after it."""
    monkeypatch.setattr(tails, "FAN_IN", 2)
    disk = Refusing("remove part-000000000001")
    writer = start(tmp_path, LAYERS[:2], disk)
    disk.arm()
    for event in EVENTS[:8]:
        writer.put(event)
        tick(writer)
    assert not disk.left
    assert close(writer) == 0
    assert len(list(parts_of(writer.path))) == 4, "a part of each kind: the next merge removes what is left"
    assert open_run(writer.path).events()["event"].tolist() == list(range(8))


def test_the_end_of_a_run_is_said_again(tmp_path: Path) -> None:
    """A disk that failed at the last heartbeat alone made the run look interrupted."""
    disk = Refusing("replace .heartbeat", times=2)
    writer = start(tmp_path, LAYERS[:2], disk)
    disk.arm()
    assert close(writer) == 0
    assert open_run(writer.path).state is RunState.FINISHED


def test_the_exit_does_not_wait_for_a_disk_that_closing_gave_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    writer = start(tmp_path, LAYERS[:2], FaultyDisk())
    monkeypatch.setattr(writer._session, "join", waited.append)
    writer.close(timeout=0.0)
    writer._session.close_at_exit()
    assert waited == [0.0, 0.0]
    monkeypatch.undo()
    close(writer)


@pytest.mark.parametrize("name", ["read heartbeat-0.json", "read rank-0.json"])
def test_a_run_does_not_go_on_where_its_past_cannot_be_read(tmp_path: Path, name: str) -> None:
    """The counts of what was dropped, and all segments but the last, were forgotten."""
    writer = start(tmp_path, LAYERS, FaultyDisk())
    for number in (0, 1, 0):
        writer.put(EVENTS[number])
    close(writer)
    disk = Refusing(name)
    disk.arm()
    with pytest.raises(RunFolderError, match="refused"):
        start(tmp_path, LAYERS, disk, resume=writer.path)
    go_on(writer.path)
    run = open_run(writer.path)
    assert run.dropped == 1
    assert run.segments["first_event"].tolist() == [0, run.last_event - AFTER + 1]


def test_a_merge_that_may_not_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part counted as damaged for good, and so did every one before it: none of them was ever merged."""
    monkeypatch.setattr(tails, "FAN_IN", 2)
    disk = Refusing("reading part-000000000001")
    writer = start(tmp_path, LAYERS[:2], disk)
    disk.arm()
    for event in EVENTS[:4]:
        writer.put(event)
        tick(writer)
    assert not disk.left
    assert close(writer) == 0
    assert [path.name for path in writer.path.glob("gradients/*/part-*")] == [
        "part-000000000000-000000000003.parquet"
    ]


def test_a_part_that_could_not_be_read_for_a_moment_is_no_damage(tmp_path: Path) -> None:
    """A dashboard with too many files open showed a gap until the run was opened anew."""
    run = write_run(tmp_path, LAYERS, [EVENTS[:4]])
    disk = Refusing("reading part")
    disk.arm()
    parts = PartSet(run, "gradients", disk=disk)
    assert parts.current() == []
    assert len(parts.found_damaged) == 1
    assert len(parts.current()) == 1
    assert parts.found_damaged == {}


def test_two_never_write_one_rank_although_the_first_is_not_seen(tmp_path: Path) -> None:
    """Where the lock could not be asked for a moment, the second process went on beside the first."""
    writer = start(tmp_path, LAYERS, FaultyDisk())
    disk = Refusing("is_locked")
    disk.arm()
    with pytest.raises(RunFolderError, match="Another process is recording rank 0"):
        start(tmp_path, LAYERS, disk, resume=writer.path)
    close(writer)


def test_the_note_for_git_is_no_reason_not_to_record(tmp_path: Path) -> None:
    """Of two processes that make the default folder at once, the second one recorded elsewhere."""
    disk = Refusing("open_new ..gitignore")
    disk.arm()
    writer = start(tmp_path / DEFAULT_NAME, LAYERS, disk)
    assert not disk.left
    close(writer)
    assert writer.path.parent == tmp_path / DEFAULT_NAME


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """exFAT and some mounts of the cloud have none: the file is made anyway, and only once."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    Disk().create(tmp_path / "run.json", b"first")
    with pytest.raises(FileExistsError):
        Disk().create(tmp_path / "run.json", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_bytes() == b"first"
