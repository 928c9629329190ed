"""Real trainings in processes of their own, while all that can go wrong around them does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gradviz
from tests.faults.training import run, start
from tests.forking import Forked

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and limits as Unix has them")


def test_a_full_disk_that_recovers(tmp_path: Path) -> None:
    """Files may have 0 bytes for a while: batches are dropped and said once, later ones are there, no bit differs."""
    out, err = run(
        """
same = bare()
model, optimizer, recorder = watched()
writer = recorder._writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def between(number):
    if number in (1, 3):
        writer.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0 if number == 1 else soft, hard))

digest_now = train(model, optimizer, between)
accepted = writer._inbox.accepted + writer.dropped
not_written = writer.close()
print(digest_now == same, shown(recorder.run_path) + not_written == accepted, not_written > 0,
      gradviz.open_run(recorder.run_path).dropped == not_written,
      gradviz.open_run(recorder.run_path).updates[1])
""",
        tmp_path,
    )
    assert out == "True True True True 5"
    assert err.count("cannot write to") == 1
    assert "File too large" in err


def test_too_many_open_files(tmp_path: Path) -> None:
    out, err = run(
        """
same = bare()
model, optimizer, recorder = watched()
writer = recorder._writer
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

def between(number):
    if number in (1, 3):
        writer.flush()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 if number == 1 else soft, hard))

print(train(model, optimizer, between) == same, writer.close() > 0,
      gradviz.open_run(recorder.run_path).updates[1])
""",
        tmp_path,
    )
    assert out == "True True 5"
    assert "Too many open files" in err


def test_a_hung_disk_is_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    """The hooks do as much as before and never wait; closing gives up in time; the process ends."""
    out, err = run(
        """
same = bare()
model, optimizer = build()
pipe = runs / "pipe"
os.mkfifo(pipe)

class Hung(Disk):
    def open_new(self, path):
        if threading.current_thread().name == "gradviz-writer":
            return pipe.open("wb")  # for ever: nobody opens the other end
        return super().open_new(path)

writers.Disk = Hung
writers.RunWriter.close.__kwdefaults__["timeout"] = 0.3
recorder = gradviz.watch(model, optimizer, run_dir=runs)
digest_now = train(model, optimizer)
writer = recorder._writer
writer._inbox.ring()
put = writer._inbox.accepted
model, optimizer = build()
print(digest_now == same, put == 4 * windows, writer.dropped, writer.close() == put)
""",
        tmp_path,
    )
    assert out == "True True 0 True"
    assert "24 events were not written" in err


def test_a_folder_that_is_removed_is_said_once(tmp_path: Path) -> None:
    out, err = run(
        """
import shutil
same = bare()
model, optimizer, recorder = watched()

def between(number):
    if number == 2:
        recorder._writer.flush()
        while recorder.run_path.exists():  # the thread may be writing into it
            shutil.rmtree(recorder.run_path, ignore_errors=True)
        recorder._writer._inbox.ring()
        recorder._writer._session.thread.join(30)

print(train(model, optimizer, between) == same)
recorder.close()
print(recorder.run_path.exists())
""",
        tmp_path,
    )
    assert out.split() == ["True", "False"]
    assert err.count("has stopped: its folder was removed") == 1


LOADER = """
import sys, torch, gradviz

class Numbers(torch.utils.data.Dataset):
    def __init__(self, recorder):
        self.recorder = recorder  # travels to the workers, where it is inert
    def __len__(self):
        return 16
    def __getitem__(self, at):
        self.recorder.log(worker=1.0)
        return torch.full((3,), float(at))

if __name__ == "__main__":
    model = torch.nn.Linear(3, 2)
    recorder = gradviz.watch(model, run_dir=sys.argv[1])
    loader = torch.utils.data.DataLoader(Numbers(recorder), batch_size=4, num_workers=2,
                                         multiprocessing_context=sys.argv[2])
    for batch in loader:
        model(batch).sum().backward()
    recorder.close()
    run = gradviz.open_run(recorder.run_path)
    print((run.events()["phase"] == "micro_step").sum(), "worker" in run.events(), run.state, run.dropped)
"""


def test_forked_workers_of_a_loader_are_silent(tmp_path: Path) -> None:
    training = Forked(LOADER, tmp_path, "fork")
    said, errors = training.communicate()
    assert training.returncode == 0, errors
    assert said.split() == ["4", "False", "finished", "0"]


@pytest.mark.soak  # three processes that load torch
def test_spawned_workers_of_a_loader_are_silent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(LOADER)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "runs"), "spawn"],
        capture_output=True, text=True, timeout=240, cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4", "False", "finished", "0"]
    assert len(gradviz.list_runs(tmp_path / "runs")) == 1


FOREVER = """
import itertools
model, optimizer, recorder = watched()
for number in itertools.count():
    window(model, optimizer)
    if number == 2:
        recorder._writer.flush()
        print(recorder.run_path, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_the_process_as_ever(tmp_path: Path, number: signal.Signals) -> None:
    """No handler is ours: what was flushed is there, the run is interrupted."""
    process = start(FOREVER, tmp_path)
    path = process.stdout.readline().strip()
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == -number, err
    opened = gradviz.open_run(path)
    assert opened.state == "interrupted"
    assert len(opened.events()) >= 12
    assert opened.verify() == []


def test_ctrl_c_twice_ends_it_although_the_disk_hangs(tmp_path: Path) -> None:
    """The first one reaches the loop and closes the run; the second one ends the wait for the disk."""
    process = start(
        """
hung = threading.Event()

class Hung(Disk):
    def replace(self, source, target):
        if hung.is_set():
            print("hung", flush=True)
            threading.Event().wait()
        super().replace(source, target)

writers.Disk = Hung
import itertools
model, optimizer = build()
with gradviz.watch(model, optimizer, run_dir=runs) as recorder:
    for number in itertools.count():
        window(model, optimizer)
        if number == 2:
            recorder._writer.flush()
            hung.set()
            print(recorder.run_path, flush=True)
""",
        tmp_path,
    )
    path = process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().strip() == "hung"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGINT, err
    assert "KeyboardInterrupt" in err
    assert "gradviz: " not in err
    assert len(gradviz.open_run(path).events()) >= 12


def test_a_notebook_cell_run_twice(tmp_path: Path) -> None:
    """The first run is superseded, hooks never double, and the training is the one without a recorder."""
    out, err = run(
        """
def cell(watched):
    model, optimizer = build()
    for _ in range(2):
        recorder = gradviz.watch(model, optimizer, run_dir=runs) if watched else gradviz.Recorder()
        train(model, optimizer)
    recorder.close()
    return digest(model)

print(cell(False) == cell(True))
for summary in gradviz.list_runs(runs):
    print(summary.state, shown(summary.path))
""",
        tmp_path,
    )
    assert err == ""
    assert sorted(out.splitlines()[1:]) == ["finished 25", "superseded 25"]
    assert out.startswith("True")


def train_where_calls_fail(tmp_path: Path, numbers: range) -> None:
    """With every code in its turn, once and for ever."""
    out, _ = run(
        f"""
from tests.faults.faulty_disk import FOR_EVER, FaultyDisk
same = bare()
sessions.LONGEST_PAUSE = 0.0
for at in {numbers}:
    for times in (1, FOR_EVER):
        disk = FaultyDisk(at, times=times)
        writers.Disk = lambda: disk
        model, optimizer = build()
        recorder = gradviz.watch(model, optimizer, run_dir=runs, distributions=True)
        writers.Disk = Disk
        disk.arm()
        print(train(model, optimizer, lambda number: recorder._writer.flush()) == same and len(disk.calls) >= at)
        recorder.close()
""",
        tmp_path,
    )
    assert out.split() == ["True"] * 2 * len(numbers)


def test_no_bit_of_the_training_differs_where_calls_fail(tmp_path: Path) -> None:
    train_where_calls_fail(tmp_path, range(1, 101, 33))


@pytest.mark.soak
def test_no_bit_of_the_training_differs_whichever_call_fails(tmp_path: Path) -> None:
    train_where_calls_fail(tmp_path, range(1, 121))
