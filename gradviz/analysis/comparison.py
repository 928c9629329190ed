"""Two runs, moment by moment: where do they part, and how far?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.comparison_cells import read_cells
from gradviz.analysis.comparison_pairs import EventPairs, event_pairs
from gradviz.analysis.comparison_scan import Difference, Scan
from gradviz.analysis.frames import Floats, Integers
from gradviz.analysis.tables import table_of

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

RTOL = 1e-5
ROWS_AT_ONCE = 1_000_000  # of each run in memory


@dataclass(frozen=True)
class Comparison:
    """Two runs held against each other, over the U updates and L layers that both have.

    `largest` [U] is the largest relative difference |a - b| / max(|a|, |b|) of the L2 norms of any layer at any moment
    of the window, infinite where only one has a gradient or a finite one. `ratio` [L] is what the second run consumed
    over what the first did at the update `ratio_update` [L] (-1: unknown) at which that is farthest from 1.
    `is_identical`: all statistics of all rows in common are equal to the last bit. `compared` moments are in common;
    `updates` are the last ones of each run; `is_complete` is False where only the first rows were looked at.
    """

    runs: tuple[str, str]
    rtol: float
    layers: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    update: Integers
    largest: Floats
    first_difference: Difference | None
    is_identical: bool
    compared: int
    updates: tuple[int, int]
    is_complete: bool
    ratio: Floats
    ratio_update: Integers

    @property
    def is_same(self) -> bool:
        """The same layers and updates, and no difference above `rtol`, in something that could be compared."""
        alike = self.first_difference is None and not self.only_first and not self.only_second
        return alike and self.compared > 0 and self.is_complete and self.updates[0] == self.updates[1]


def comparison(
    first: Run,
    second: Run,
    *,
    runs: tuple[str, str] | None = None,
    rtol: float = RTOL,
    rows: int | None = None,
    progress: Callable[[float], object] | None = None,
) -> Comparison:
    """Compare two runs, some windows at a time.

    Args:
        runs: what they are called; default: their names.
        rtol: relative differences of L2 norms up to this are none.
        rows: stop after so many rows of each run; None: look at all.
        progress: called with the share that is done.

    Null and zero are alike at a reset, and differ elsewhere: an optimizer skips the one and not the other.
    """
    names = [[str(layer) for layer in run.layers["layer"]] for run in (first, second)]
    common = tuple(layer for layer in names[0] if layer in set(names[1]))
    events = (first.events(columns=["loss"]), second.events(columns=["loss"]))
    scan = Scan(event_pairs(*events), common, rtol, events)
    _look(scan, (first, second), rows, progress)
    update, largest = scan.by_update()
    return Comparison(
        runs=runs or (first.name, second.name),
        rtol=rtol,
        layers=common,
        only_first=tuple(layer for layer in names[0] if layer not in set(common)),
        only_second=tuple(layer for layer in names[1] if layer not in set(common)),
        update=update,
        largest=largest,
        first_difference=scan.first_difference(),
        is_identical=scan.is_identical,
        compared=scan.seen if common else 0,
        updates=(_last_update(events[0]), _last_update(events[1])),
        is_complete=scan.seen == len(scan.pairs.update),
        ratio=scan.ratio,
        ratio_update=scan.ratio_update,
    )


def _look(
    scan: Scan, runs: tuple[Run, Run], rows: int | None, progress: Callable[[float], object] | None
) -> None:
    """Read stretch after stretch, until `rows` of each run were read."""
    pairs, layers = scan.pairs, scan.layers
    stretches = list(_stretches(pairs, len(layers)))
    for done, (start, stop) in enumerate(stretches, start=1):
        if scan.seen and rows is not None and stop * len(layers) > rows:
            return
        span = (int(pairs.update[start]), int(pairs.update[stop - 1]))
        first, second = (
            read_cells(run, layers, span, numbers[start:stop])
            for run, numbers in zip(runs, (pairs.first, pairs.second), strict=True)
        )
        scan.add(start, stop, first, second)
        if progress is not None:
            progress(done / len(stretches))


def _stretches(pairs: EventPairs, layers: int) -> Iterator[tuple[int, int]]:
    """Ranges of pairs of a bounded number of rows, cut between windows."""
    ends = np.flatnonzero(np.diff(pairs.update, append=-1))  # the last pair of each window
    start, size = 0, max(1, ROWS_AT_ONCE // max(layers, 1))
    while start < len(pairs.update):
        inside = ends[(ends >= start) & (ends < start + size)]
        stop = 1 + int(inside[-1] if len(inside) else ends[ends >= start][0])
        yield start, stop
        start = stop


def _last_update(events: pd.DataFrame) -> int:
    """The last window that has more than the reset which ends a run; -1 for none."""
    real = events.loc[events["phase"] != "reset", "update"]
    return int(real.max()) if len(real) else -1


@table_of.register(Comparison)
def _(record: Comparison) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"update": record.update, "largest_relative_difference": record.largest})
