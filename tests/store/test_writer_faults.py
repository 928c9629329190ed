"""Disks that fail, fill up, hang or vanish: the training never notices, the run says what it lost."""

from __future__ import annotations

import errno
import shutil
import threading
import warnings
from pathlib import Path

import pytest

from gradviz.errors import GradvizWarning, RunFolderError
from gradviz.schema import RunState
from gradviz.store import open_run
from tests.store.failing_disk import FailingDisk
from tests.store.made_runs import make_events, make_layers, start_writer, wait_for

LAYERS = make_layers(3)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("at", [1, 2, 4, 7, 11])
def test_a_disk_that_fails_once_costs_one_batch(tmp_path: Path, at: int, code: int) -> None:
    disk = FailingDisk(code=code)
    writer = start_writer(tmp_path, LAYERS, disk=disk, flush_seconds=0.01)
    run = open_run(writer.path)
    events = make_events(LAYERS, 12)
    disk.fail_after(at)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for first in range(0, 12, 4):
            for event in events[first : first + 4]:
                writer.put(event)
            wait_for(lambda put=first + 4: writer.dropped + len(run.events()) >= put)
        not_written = writer.close()
    assert not_written == writer.dropped == run.dropped
    assert len(run.events()) + run.dropped == 12
    assert len(caught) <= 1
    assert run.damaged == []
    assert run.state is RunState.FINISHED


def test_a_full_disk_is_said_once_with_path_and_room(tmp_path: Path) -> None:
    disk = FailingDisk(times=10**9)
    writer = start_writer(tmp_path, LAYERS, disk=disk, flush_seconds=0.01)
    disk.fail_after(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for event in make_events(LAYERS, 8):
            writer.put(event)
            wait_for(lambda put=event.event: writer.dropped > 0 or put < 4)
        assert writer.close(timeout=5) == 8
    (warning,) = caught
    assert warning.category is GradvizWarning
    assert str(writer.path) in str(warning.message)
    assert "MiB" in str(warning.message)
    assert open_run(writer.path).events().empty


def test_warnings_as_errors_do_not_stop_the_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Under `-W error` the warning would raise on the writer's thread."""
    disk = FailingDisk(times=10**9)
    writer = start_writer(tmp_path, LAYERS, disk=disk)
    disk.fail_after(0)
    writer.put(make_events(LAYERS, 1)[0])
    assert writer.close() == 1
    assert "cannot write to" in caplog.text


def test_a_run_that_is_removed_is_not_made_again(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS, flush_seconds=60)
    shutil.rmtree(writer.path)  # its thread sleeps: it writes nothing while the folder goes
    writer.put(make_events(LAYERS, 1)[0])
    with pytest.warns(GradvizWarning, match=r"recording into .* has stopped: its folder was removed"):
        assert writer.flush()
    assert writer.close() > 0
    assert not writer.path.exists()


def test_a_hung_disk_holds_nothing_up(tmp_path: Path) -> None:
    """The writer's thread waits for ever in a write; put and close do not."""
    hang = threading.Event()

    class HungDisk(FailingDisk):
        def before(self, call: str) -> None:
            super().before(call)
            if threading.current_thread().name == "gradviz-writer":
                hang.wait()

    writer = start_writer(tmp_path, LAYERS, disk=HungDisk(), flush_seconds=0.01)
    for event in make_events(LAYERS, 5):
        assert writer.put(event)
    assert writer.close(timeout=0.2) == 5
    hang.set()
    assert writer.close() == 0


@pytest.mark.parametrize("broken", ["a file", "below a file", "a NUL"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, broken: str) -> None:
    (tmp_path / "file").write_text("x")
    parent = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "a NUL": Path("\0")}[
        broken
    ]
    with pytest.raises(RunFolderError, match=r"Cannot record into .*run_dir="):
        start_writer(parent, LAYERS)
