"""What reading a very long run costs: opening it, a sawtooth, the heat map, and memory.

    python benchmarks/long_run.py FOLDER [--repeats 11]

FOLDER holds one run, of `python benchmarks/big_run.py FOLDER --rows 1e9`, say. Times are medians of wall time and of
CPU time in brackets; "warm" is the same question again, "cold" the first in a new process. Memory is this process's.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from pathlib import Path

from store import milliseconds, row, timed

from gradviz.analysis.heat_map import COLUMNS, block_columns, heat_map
from gradviz.store import Run, list_runs, open_run

UPDATES = 200  # of a sawtooth


def questions(run: Run) -> dict[str, tuple[str, Callable[[], object]]]:
    """What the dashboard asks for, with its target: a sawtooth in the middle, the heat map of everything."""
    layers = list(run.layers["layer"])
    layer, middle = layers[len(layers) // 2], (run.updates or (0, 0))[1] // 2
    window = (middle, middle + UPDATES - 1)
    return {
        f"sawtooth: one layer, {UPDATES} updates": (
            "50 ms",
            lambda: run.gradients(layers=[layer], updates=window),
        ),
        "heat map: all layers, the whole run": (
            "200 ms",
            lambda: heat_map(run.overview(columns=block_columns("l2"), most_blocks=COLUMNS)),
        ),
    }


def resident() -> float:
    """The most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Ask, and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=11)
    given = parser.parse_args()
    (summary,) = list_runs(given.folder)
    print(f"libraries: {resident():.0f} MB")
    opened = timed(lambda: open_run(summary.path))
    run = open_run(summary.path)
    row("opening it, cold", milliseconds([opened]), "")
    for name, (target, ask) in questions(run).items():
        row(f"{name}, cold", milliseconds([timed(ask)]), "")
        row(f"{name}, warm", milliseconds([timed(ask) for _ in range(given.repeats)]), target)
        row("  memory, highest so far", f"{resident():.0f} MB", "600 MB")


if __name__ == "__main__":
    main()
