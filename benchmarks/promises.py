"""What the promises of the README come to in numbers: `python -m benchmarks.promises [--every N]`.

Each number is counted while the checks of `tests/` run; one that does not hold ends the script. With `--every 10`
a tenth of the calls and kills is tried.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

import gradviz
from gradviz.store import session as sessions
from gradviz.store import tail as tails
from gradviz.store import writer as writers
from gradviz.store.files import Disk
from tests.faults.enumerating import check, record_with
from tests.faults.faulty_disk import FaultyDisk, Way
from tests.faults.recording import record, truth
from tests.faults.spoiling import flipped, spoiled
from tests.store.test_kill import check as check_killed
from tests.store.test_kill import kill_at

ROOT = Path(__file__).parents[1]
HANGING = threading.Event()


class Hung(Disk):
    """The writer's thread waits for ever in the first file that it opens."""

    def open_new(self, path: Path) -> BinaryIO:
        """Wait."""
        if threading.current_thread().name == "gradviz-writer":
            HANGING.wait()
        return super().open_new(path)


def train(steps: int, folder: Path | None) -> tuple[bytes, float]:
    """Parameters and RNG state after windows of two micro-steps; the ms that one window in a hundred exceeds."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    recorder = gradviz.Recorder() if folder is None else gradviz.watch(model, optimizer, run_dir=folder)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        for _ in range(2):
            model(torch.randn(16, 32)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
    recorder.close()
    state = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    return state + torch.get_rng_state().numpy().tobytes(), 1000 * statistics.quantiles(seconds, n=100)[-1]


def training(folder: Path, steps: int = 1500) -> Iterator[str]:
    """P1 and P2."""
    bare, _ = train(steps, None)
    watched, sound = train(steps, folder / "sound")
    writers.Disk = Hung  # type: ignore[misc]
    waiting, hung = train(steps, folder / "hung")
    writers.Disk = Disk  # type: ignore[misc]
    yield f"P1: 1 % of {steps:,} windows take over {sound:.2f} ms; on a disk that hangs, {hung:.2f} ms"
    assert bare == watched == waiting
    yield f"P2: {4 * steps:,} micro-steps with a recorder, half of them on a disk that hangs: 0 bits differ"


def kills(folder: Path, every: int) -> str:
    """P3: what could be read before `kill -9` is read after it."""
    count = 100 // every
    for number in range(count):
        run, seen = kill_at(folder / f"kill-{number}", 1 + 37 * number % 400)
        check_killed(run, seen, folder / f"kill-{number}")
    return f"P3: {count} kills: 0 events lost that had been acknowledged"


def spoil(folder: Path, every: int) -> str:
    """P4: a flipped bit in each file in its turn."""
    files = list(spoiled(record(folder, FaultyDisk()).path))
    noticed = tried = 0
    for number in range(1000 // every):
        file = files[number % len(files)]
        content = file.path.read_bytes()
        bit = 7919 * (number + 1) * 8 % (8 * len(content)) + number % 8
        noticed += file.check(flipped(content, bit), f"bit {bit} of {file.path.name}")
        tried += 1
    return f"P4: {tried:,} flipped bits: {noticed:,} noticed and named, 0 numbers changed"


def gaps(folder: Path, every: int) -> str:
    """P5: each call to the file system fails in its turn."""
    rows, counting = truth(folder), FaultyDisk()
    record_with(folder / "whole", counting)
    lost = tried = 0
    for at in range(1, len(counting.calls) + 1, every):
        done = record_with(folder / "once", FaultyDisk(at, Way.FAIL))
        check(done, rows, f"call {at}", once=True)
        lost, tried = lost + done.not_written, tried + done.put
        shutil.rmtree(folder / "once")
    calls = len(range(1, len(counting.calls) + 1, every))
    return f"P5: {calls} calls that failed: {lost:,} of {tried:,} events dropped, each of them counted and in a gap"


def reading(folder: Path) -> Iterator[str]:
    """P6 and P7: runs that are shipped, and those of earlier recorders, are read and stay as they are."""
    golden = [path.parent for path in sorted((ROOT / "tests" / "golden").glob("*/run.json"))]
    samples = [path.parent for path in sorted((ROOT / "sample_runs").glob("*/run.json"))]
    copies = [Path(shutil.copytree(run, folder / run.name)) for run in (*samples, *golden)]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for path in copies:
        run = gradviz.open_run(path)
        assert len(run.gradients()), path
        assert run.verify() == [], path
        gradviz.diagnose(run)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    yield f"P6: {len(copies)} runs read and diagnosed: 0 of {len(before)} files and folders written, added or removed"
    yield f"P7: {len(golden)} golden runs of earlier recorders and {len(samples)} samples read: 0 damaged"


def main() -> None:
    """Print a line a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    every = parser.parse_args().every
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for line in training(Path(name) / "training"):
            print(line, flush=True)
        print(kills(Path(name) / "kills", every), flush=True)
        tails.FAN_IN, tails.SEGMENT_EVENTS, sessions.LONGEST_PAUSE = 2, 12, 0.0
        print(spoil(Path(name) / "spoil", every), flush=True)
        print(gaps(Path(name) / "gaps", every), flush=True)
        for line in reading(Path(name) / "reading"):
            print(line, flush=True)


if __name__ == "__main__":
    main()
