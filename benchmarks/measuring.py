"""Trainings in processes of their own, timed in pairs: the bare loop, and one with a recorder.

Only the one that is timed runs; the others, and the helpers they started, are stopped meanwhile. So
whatever a recorder does behind the training's back (threads, services) happens in its own time.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from adapters import Adapter
from torch import nn
from workloads import Training, Workload

TICK = os.sysconf("SC_CLK_TCK")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them
WAKE = 0.05  # seconds: what a recorder does once it finds that time has passed (a flush) is not timed
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """Of one process: MB of memory, beyond the bare model's where in training; bytes on disk; values in them."""

    libraries: float
    resident: float
    peak: float
    size: int
    values: int


class Place:
    """A training with a recorder (or none) in a process of its own."""

    def __init__(self, workload: Workload, adapter: Adapter, folder: Path) -> None:
        self._ours, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_train, args=(theirs, workload, adapter, folder), daemon=True)
        self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until it is set up, and stop it."""
        self._ours.recv()
        self.stop()

    def train(self, windows: int) -> float:
        """Seconds that these windows took."""
        self._ours.send(windows)
        seconds: float = self._ours.recv()
        return seconds

    def finish(self) -> Outcome:
        """End the training and close the recorder."""
        self._signal(signal.SIGCONT)
        self._ours.send(None)
        outcome: Outcome = self._ours.recv()
        self._process.join()
        return outcome

    def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process.is_alive():
            self._signal(signal.SIGKILL)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def cpu(self) -> float:
        """CPU seconds up to now, of all threads and of every process that it started."""
        return sum(ticks for _, _, ticks in _tree(self._pid)) / TICK

    def _signal(self, number: signal.Signals) -> None:
        for pid, _, _ in _tree(self._pid):
            os.kill(pid, number)

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid


def _tree(root: int) -> list[tuple[int, int, int]]:
    """Process, parent and CPU ticks of `root` and all that descend from it."""
    rows = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            numbers = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        rows.append((int(path.parent.name), int(numbers[1]), sum(map(int, numbers[11:15]))))
    found = [row for row in rows if row[0] == root]
    for pid, _, _ in found:  # grows as it goes
        found += [row for row in rows if row[1] == pid]
    return found


@dataclass
class Series:
    """Pairs of timings and CPU times of one recorder beside the bare loop."""

    pairs: list[tuple[float, float]] = field(default_factory=list)
    cpu: list[tuple[float, float]] = field(default_factory=list)


def session(bare: Place, one: Place, windows: int, seconds: float, series: Series) -> None:
    """Time both in turn for about so many seconds, each in its turn first: drifts of the machine cancel."""
    began, before = time.perf_counter(), (bare.cpu(), one.cpu())
    for place in (bare, one):
        place.wake()
        time.sleep(WAKE)
        place.stop()
    known = len(series.pairs)
    while len(series.pairs) == known or time.perf_counter() - began < seconds:
        first, second = (bare, one) if len(series.pairs) % 2 else (one, bare)
        times = {}
        for place in (first, second):
            place.wake()
            times[place] = place.train(windows)
            place.stop()
        series.pairs.append((times[bare], times[one]))
    series.cpu.append((bare.cpu() - before[0], one.cpu() - before[1]))


def _train(pipe: Connection, workload: Workload, adapter: Adapter, folder: Path) -> None:
    """What happens in the process."""
    torch.set_num_threads(1)
    _keep_memory()
    training = Training(workload)
    training.windows(1, _nothing)
    bare = resident()
    _rehearse(adapter, folder)
    libraries = resident() - bare
    empty = size_of(folder)
    recording = adapter.attach(training.model, _made(folder / "run"))
    training.windows(2, recording.after)
    pipe.send(None)
    while (windows := pipe.recv()) is not None:
        began = time.perf_counter()
        training.windows(windows, recording.after)
        pipe.send(time.perf_counter() - began)
    memory = [number - bare - libraries for number in in_training(training, recording.after)]
    recording.close()
    pipe.send(Outcome(libraries, *memory, size_of(folder) - empty, recording.values()))


def in_training(training: Training, after: Callable[[], None]) -> tuple[float, float]:
    """MB resident after a backward, and at the highest."""
    seen: list[float] = []
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 65_536)  # what is freed is given back at once from here on
    resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here

    def look() -> None:
        after()
        seen.append(resident())

    training.windows(1, look)
    return max(seen), resident("VmHWM")


def _keep_memory() -> None:
    """What is freed stays with the process.

    Else one training fetches its memory anew at every window and another, as chance has laid it out, never.
    """
    for parameter, size in ((M_TRIM_THRESHOLD, 2**30), (M_MMAP_THRESHOLD, 2**25)):
        ctypes.CDLL(None).mallopt(parameter, size)


def _rehearse(adapter: Adapter, folder: Path) -> None:
    """Record something small, so that the libraries are loaded and every kernel is compiled."""
    model = nn.Linear(2, 2)
    recording = adapter.attach(model, _made(folder / "rehearsal"))
    model(torch.ones(1, 2)).sum().backward()
    recording.after()
    recording.close()


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _nothing() -> None:
    pass


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def resident(what: str = "VmRSS") -> float:
    """MB of memory of this process and of all that it started, without what it has freed."""
    ctypes.CDLL(None).malloc_trim(0)
    statuses: list[Any] = [Path(f"/proc/{pid}/status").read_text() for pid, _, _ in _tree(os.getpid())]
    lines = [line for status in statuses for line in status.splitlines() if line.startswith(what)]
    return sum(int(line.split()[1]) for line in lines) / 1024
