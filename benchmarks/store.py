"""What the store costs: bytes a value, a flush, merging, and the dashboard's queries.

    python benchmarks/store.py [--rows 10000000] [--run RUN]

Bytes a value are measured on a real run as it lies on disk: a shipped sample (a character transformer
trained with n = 8), or any run that is given.

The times use larger shapes made from that run: its rows are turned back into sums, its layers and windows
are repeated, and each repeated number is multiplied by a random factor of its own, so that the numbers
have the real spread over layers and time and as many random digits as real ones.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rehearsal import Rehearsal

from gradviz.schema import (
    EventRecord,
    Layer,
    Phase,
)
from gradviz.store import Run, open_run, sample_folder
from gradviz.store import manifest as manifests
from gradviz.store.columns import STATISTICS
from gradviz.store.files import Disk
from gradviz.store.parts import part_folder
from gradviz.store.rank_folder import RankFolder
from gradviz.store.writer import PART_KINDS

SAMPLE = "healthy-transformer-n8"


def new_folder(parent: Path, layers: list[Layer], *, durable: bool) -> RankFolder:
    """An empty run folder, written to from this thread."""
    run = parent / f"run-{time.monotonic_ns()}"
    run.mkdir()
    for kind in PART_KINDS:
        part_folder(run, kind).mkdir(parents=True)
    manifest = manifests.compose(run.name, layers)
    Disk().create(run / manifests.FILE_NAME, manifests.encode(manifest))
    return RankFolder(run, 0, manifest, layers, disk=Disk(), durable=durable)


def timed(work: Callable[[], object]) -> np.ndarray:
    """Seconds of wall time and of this process's CPU time: on a busy machine the second one is the fairer."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - wall, time.process_time() - cpu])


def write(folder: RankFolder, records: list[EventRecord]) -> np.ndarray:
    """Write one batch; returns its times."""
    return timed(lambda: folder.write_batch(records, [np.asarray(record.sums) for record in records]))


def merge(folder: RankFolder, *, final: bool = False) -> np.ndarray:
    """Merge what is due; returns its times."""
    return timed(lambda: list(folder.merge(final=final)))


def bytes_a_value(run: Run) -> None:
    """Bytes on disk by cell and by existing value."""
    parts = {kind: [*(run.path / kind).rglob("part-*")] for kind in PART_KINDS}
    size = {kind: sum(path.stat().st_size for path in paths) for kind, paths in parts.items()}
    rows = existing = 0
    for path in parts["gradients"]:
        table = pq.read_table(path, columns=list(STATISTICS), partitioning=None)
        rows += table.num_rows
        existing += sum(table.num_rows - column.null_count for column in table.columns)
    cells, total = rows * len(STATISTICS), sum(size.values())
    print(f"bytes a value, run {run.path.name} ({len(run.layers)} layers, {rows:,} rows): all of gradients/, "
          "events/ and overview/ over")  # fmt: skip
    row("  a cell of the 10 statistic columns, nulls too", f"{total / cells:.2f}", "2.0")
    row("  a value that exists (not null)", f"{total / existing:.2f}", "")
    row("  of these bytes: " + ", ".join(f"{kind} {part / total:.1%}" for kind, part in size.items()), "", "")


def flushes(run: Run, parent: Path, repeats: int) -> None:
    """One flush of 100 layers x 64 micro-steps, with and without fsync, interleaved."""
    rehearsal = Rehearsal(run, 100)
    micro_steps = [record for record in rehearsal.events(200) if record.phase is Phase.MICRO_STEP][:64]
    seconds: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for _ in range(repeats):
        for durable, measured in seconds.items():
            folder = new_folder(parent, rehearsal.layers, durable=durable)
            measured.append(write(folder, micro_steps))
            shutil.rmtree(folder.run)
    for durable, target in ((False, "5 ms"), (True, "20 ms")):
        name = "with" if durable else "without"
        row(f"flush of 100 layers x 64 micro-steps, {name} fsync", milliseconds(seconds[durable]), target)


def merges(run: Run, parent: Path, events: int) -> None:
    """All merging of a run of 250 layers that flushes 64 events at a time, over its micro-steps."""
    rehearsal = Rehearsal(run, 250)
    folder = new_folder(parent, rehearsal.layers, durable=False)
    batch: list[EventRecord] = []
    merging, writing, micro_steps = np.zeros(2), np.zeros(2), 0
    for record in rehearsal.events(events):
        batch.append(record)
        micro_steps += record.phase is Phase.MICRO_STEP
        if len(batch) == 64:
            writing += write(folder, batch)
            merging += merge(folder)
            batch = []
    merging += merge(folder, final=True)
    what = f"{micro_steps:,} micro-steps of 250 layers, for each"
    row(f"merging, {what}", milliseconds([merging / micro_steps]), "0.2 ms")
    row(f"flushing, {what}", milliseconds([writing / micro_steps]), "")
    shutil.rmtree(folder.run)


def queries(run: Run, parent: Path, rows: int, repeats: int) -> None:
    """The dashboard's queries on a run of 250 layers, warm."""
    rehearsal = Rehearsal(run, 250)
    folder = new_folder(parent, rehearsal.layers, durable=False)
    batch: list[EventRecord] = []
    for record in rehearsal.events(rows // 250):
        batch.append(record)
        if len(batch) == 512:
            write(folder, batch)
            merge(folder)
            batch = []
    write(folder, batch)
    merge(folder, final=True)
    big = open_run(folder.run)
    middle = (big.updates or (0, 0))[1] // 2
    layer = rehearsal.layers[137].name
    asked: dict[str, tuple[str, Callable[[], object]]] = {
        "sawtooth: one layer, 200 updates, all columns":
            ("10 ms", lambda: big.gradients(layers=[layer], updates=(middle, middle + 199))),
        "overview: all layers, the whole run": ("50 ms", big.overview),
        "all layers, one update": ("", lambda: big.gradients(updates=(middle, middle))),
        "one layer, the whole run, l2 and micro_l2":
            ("", lambda: big.gradients(layers=[layer], columns=["event", "micro_step", "l2", "micro_l2"])),
        "events, the whole run": ("", big.events),
    }  # fmt: skip
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in asked}
    for _ in range(repeats):
        for name, (_, query) in asked.items():
            seconds[name].append(timed(query))
    print(f"queries on {rows:,} rows, warm (a new Run a first time: {first_query(folder.run, layer):.0f} ms)")
    for name, (target, _) in asked.items():
        row(f"  {name}", milliseconds(seconds[name][1:]), target)
    bytes_a_value(big)
    shutil.rmtree(folder.run)


def first_query(path: Path, layer: str) -> float:
    """Milliseconds of opening a run and asking for one sawtooth, footers not cached."""
    return float(1e3 * timed(lambda: open_run(path).gradients(layers=[layer], updates=(0, 199)))[0])


def milliseconds(times: list[np.ndarray]) -> str:
    """Median wall time, and median CPU time in brackets."""
    wall, cpu = 1e3 * np.median(times, axis=0)
    return f"{wall:.3g} ms (cpu {cpu:.3g})"


def row(name: str, measured: str, target: str) -> None:
    print(f"{name:<66} {measured:>20}" + (f"   target {target}" if target else ""))


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--run", type=Path, default=None)
    arguments.add_argument("--repeats", type=int, default=21)
    arguments.add_argument(
        "--folder", type=Path, default=None, help="where to write; default: a temporary folder"
    )
    given = arguments.parse_args()
    path = given.run or next(p.parent for p in sample_folder().rglob("run.json") if SAMPLE in str(p.parent))
    run = open_run(path)
    parent = Path(tempfile.mkdtemp(prefix="gradviz-benchmark-", dir=given.folder))
    try:
        bytes_a_value(run)
        flushes(run, parent, given.repeats)
        merges(run, parent, 12_288)
        queries(run, parent, given.rows, given.repeats)
    finally:
        shutil.rmtree(parent)


if __name__ == "__main__":
    main()
