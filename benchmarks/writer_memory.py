"""The memory that the writer takes while it merges: `python benchmarks/writer_memory.py [--layers N] [--events N]`.

A process writes events of so many layers as fast as the writer takes them, through more than two segments
(each merged out of 64 parts at a time), and looks at its own memory meanwhile: at its highest, beyond what
it had with the libraries loaded and a first, small run written. What waits in the queue counts with it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gradviz.schema import SUMS_WIDTH, EventRecord, Layer, Phase
from gradviz.store import RunWriter, open_run

N = 4


def layers_of(count: int) -> list[Layer]:
    """Weights of a thousand elements."""
    return [Layer(i, f"blocks.{i}.weight", (1000,), 1000, "float32", "Linear", True) for i in range(count)]


def write(folder: Path, layers: int, events: int) -> Path:
    """Write so many events, waiting where the queue is half full: nothing is to be dropped."""
    writer = RunWriter.create(folder, "memory", layers_of(layers))
    ids, numels = np.arange(layers, dtype=np.int32), np.full(layers, 1000)
    numbers = np.random.default_rng(0).lognormal(size=(layers, SUMS_WIDTH))
    numbers[:, [3, 8]] = 0
    for event in range(events):
        k = event % (N + 2)
        phase = Phase.RESET if k == 0 else Phase.UPDATE if k == N + 1 else Phase.MICRO_STEP
        sums = numbers * (1 + 1e-3 * event)
        while writer._inbox._bytes > 2**25:
            time.sleep(0.002)
        writer.put(EventRecord(event, event // (N + 2), min(k, N), phase, event / 100, ids, numels, sums, {}))
    if missing := writer.close(timeout=600):
        sys.exit(f"{missing} events were not written")
    return writer.path


def resident(what: str) -> float:
    """MB of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


def main() -> None:
    """Write a small run, then the large one, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=9000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), 10, 200)
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest counts from here
        run = write(Path(folder), asked.layers, asked.events)
        grown = resident("VmHWM") - before
        held = len(open_run(run).events())
        parts = len(list((run / "gradients" / "rank=0").glob("part-*")))
    sys.stdout.write(
        f"{asked.layers:,} layers, {held:,} events in {parts} parts: {before:.0f} MB before, "
        f"at most {grown:.0f} MB more while writing and merging\n"
    )


if __name__ == "__main__":
    main()
