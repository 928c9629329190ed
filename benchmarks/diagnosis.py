"""What `gradviz.diagnose` costs: on a long run read from disk, and on each sample run.

    python benchmarks/diagnosis.py [--rows 10000000] [--run RUN]

The long run has 250 layers and is made from a shipped sample, as in `benchmarks/store.py`; or it is one that
is given. Everything counts: the footers of the parts, reading, decoding, the checks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from rehearsal import Rehearsal
from store import SAMPLE, merge, new_folder, row, timed, write

from gradviz.diagnostics import diagnose
from gradviz.schema import EventRecord
from gradviz.store import open_run, sample_folder

LAYERS = 250


def made_run(parent: Path, rows: int) -> Path:
    """A run of so many rows, written and merged as the writer does it."""
    rehearsal = Rehearsal(open_run(sample_folder() / SAMPLE), LAYERS)
    folder = new_folder(parent, rehearsal.layers, durable=False)
    batch: list[EventRecord] = []
    for record in rehearsal.events(rows // LAYERS):
        batch.append(record)
        if len(batch) == 512:
            write(folder, batch)
            merge(folder)
            batch = []
    if batch:
        write(folder, batch)
    merge(folder, final=True)
    return folder.run


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Only so many of the cores that this process may use, for all of its threads."""
    allowed, threads = os.sched_getaffinity(0), pa.cpu_count()
    pa.set_cpu_count(count)
    _keep_to(set(sorted(allowed)[:count]))
    try:
        yield
    finally:
        _keep_to(allowed)
        pa.set_cpu_count(threads)


def _keep_to(chosen: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread.name), chosen)


def report(name: str, path: Path, repeats: int, target: str) -> None:
    """Times of opening a run and diagnosing it: the median of some, and the least."""
    diagnose(open_run(path))
    seconds = np.array([timed(lambda: diagnose(open_run(path))) for _ in range(repeats)])
    (wall, cpu), (least_wall, least_cpu) = 1e3 * np.median(seconds, axis=0), 1e3 * seconds.min(axis=0)
    row(
        f"  {name}",
        f"{wall:.0f} ms (cpu {cpu:.0f})",
        f"{target}; least {least_wall:.0f} ms (cpu {least_cpu:.0f})",
    )


def long_run(path: Path, repeats: int) -> None:
    run = open_run(path)
    rows = sum(len(piece["event"]) for piece in run.pieces([]))
    print(f"diagnose, {rows:,} rows of {len(run.layers)} layers (load {os.getloadavg()[0]:.1f})")
    for count in (1, 2):
        if count <= len(os.sched_getaffinity(0)):
            with cores(count):
                report(f"{count} core{'s' * (count > 1)}", path, repeats, "1 s")


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--run", type=Path, default=None)
    arguments.add_argument("--repeats", type=int, default=9)
    given = arguments.parse_args()
    parent = Path(tempfile.mkdtemp(prefix="gradviz-benchmark-"))
    try:
        long_run(given.run or made_run(parent, given.rows), given.repeats)
    finally:
        shutil.rmtree(parent)
    print(f"diagnose, the sample runs (load {os.getloadavg()[0]:.1f})")
    for path in sorted(path.parent for path in sample_folder().glob("*/run.json")):
        report(path.name, path, given.repeats, "200 ms")


if __name__ == "__main__":
    main()
