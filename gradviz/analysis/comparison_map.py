"""Where two runs differ: layers by updates (or samples), the ratio of what they consumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.comparison_clock import Axis
from gradviz.analysis.comparison_reading import ComparedRun
from gradviz.analysis.frames import Flags, Floats, Integers, Statistic
from gradviz.analysis.tables import table_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 400
LAYERS = 300  # rows; of more, those that differ most


@dataclass(frozen=True)
class DifferenceMap:
    """L layers that both runs have, in forward order of the first, and C columns that reach from `start` to `end`.

    `first` and `second` [L, C] are means of the statistic over the updates of each run that fall into a column, NaN
    where there are none; `broken` [L, C]: some update of either was not finite. On an axis of updates a column is
    `start`..`end` with both ends, else what follows `start` up to `end`. `only_first` and `only_second` are the
    layers of one run alone. `layers_total` counts the common ones before any thinning.
    """

    runs: tuple[str, str]
    layers: tuple[str, ...]
    statistic: Statistic
    axis: Axis
    start: Floats
    end: Floats
    first: Floats
    second: Floats
    broken: Flags
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    layers_total: int
    each: int
    """Updates that the widest column holds."""

    @cached_property
    def log_ratio(self) -> Floats:
        """log2 of second over first [L, C]: 0 where both are zero, infinite where one is, NaN where one is unknown."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log2(self.second) - np.log2(self.first)
        return np.where((self.first == 0) & (self.second == 0), 0.0, np.where(self.broken, np.nan, ratio))


def difference_map(
    first: ComparedRun,
    second: ComparedRun,
    *,
    axis: Axis = "update",
    columns: int = COLUMNS,
    layers: int = LAYERS,
) -> DifferenceMap:
    """Hold `second` against `first`, over the stretch of `axis` that both have."""
    common = tuple(layer for layer in first.consumed.layers if layer in set(second.consumed.layers))
    places = [_places(run, axis) for run in (first, second)]
    edges = _edges(places, axis, columns, is_exact=first.is_exact and second.is_exact)
    cells = [_cells(run, x, common, edges, axis) for run, x in zip((first, second), places, strict=True)]
    ends = edges[1:] - 1 if axis == "update" else edges[1:]
    whole = DifferenceMap(
        runs=(first.name, second.name),
        layers=common,
        statistic=first.consumed.statistic,
        axis=axis,
        start=edges[:-1],
        end=ends,
        first=cells[0][0],
        second=cells[1][0],
        broken=cells[0][1] | cells[1][1],
        only_first=tuple(layer for layer in first.consumed.layers if layer not in set(common)),
        only_second=tuple(layer for layer in second.consumed.layers if layer not in set(common)),
        layers_total=len(common),
        each=max(cells[0][2], cells[1][2]),
    )
    return _most_different(whole, layers)


def _places(run: ComparedRun, axis: Axis) -> Floats:
    """Where each column of a run stands on the axis, ascending; NaN where that is unknown."""
    own = run.consumed
    return run.clock.at(axis, own.first_update if axis == "update" else own.last_update)


def _edges(places: list[Floats], axis: Axis, columns: int, *, is_exact: bool) -> Floats:
    """The edges [C + 1] of columns of one width over what both runs have; none where they do not meet."""
    known = [x[np.isfinite(x)] for x in places]
    if not all(len(x) for x in known):
        return np.zeros(1)
    high = min(float(x[-1]) for x in known)
    if axis == "update":
        low = max(float(x[0]) for x in known)
        unit = 1.0 if is_exact else 16.0
        width = unit * max(1.0, np.ceil((high - low + 1) / (columns * unit)))
        low = low if is_exact else unit * np.floor(low / unit)
        count = int(np.floor((high - low) / width)) + 1
    else:
        low = 0.0
        widest = max(
            float(np.diff(x, prepend=0.0).max()) for x in known
        )  # of an update: no column is without one
        width = max(widest, high / columns)
        count = max(1, int(np.ceil(high / width)))
    return np.asarray(low + width * np.arange(count + 1)) if high >= low else np.zeros(1)


def _cells(
    run: ComparedRun, x: Floats, layers: tuple[str, ...], edges: Floats, axis: Axis
) -> tuple[Floats, Flags, int]:
    """Means [L, C] over the columns between edges, where any of them was not finite, and the updates of the fullest."""
    own = run.consumed
    rows = np.array([own.layers.index(layer) for layer in layers], dtype=np.int64)
    side = "right" if axis == "update" else "left"
    column = np.searchsorted(edges, x, side=side) - 1  # type: ignore[call-overload]  # a Literal in two steps
    inside = np.isfinite(x) & (column >= 0) & (column < len(edges) - 1)
    column = column[inside]
    shape = (len(layers), len(edges) - 1)
    total, count, bad = (
        _added(values[rows][:, inside], column, shape) for values in (own.total, own.count, own.nonfinite)
    )
    mean = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
    spans = (own.last_update - own.first_update + 1)[inside]
    return mean, bad > 0, int(np.bincount(column, weights=spans).max(initial=0))


def _added(values: Floats | Integers, column: Integers, shape: tuple[int, int]) -> Floats:
    added = np.zeros(shape)
    if values.size:
        into, starts = np.unique(column, return_index=True)
        added[:, into] = np.add.reduceat(values, starts, axis=1)
    return added


def _most_different(whole: DifferenceMap, layers: int) -> DifferenceMap:
    """At most `layers` layers, in forward order: those that are not finite or differ most."""
    if len(whole.layers) <= layers:
        return whole
    swing = np.abs(np.where(np.isnan(whole.log_ratio), 0.0, whole.log_ratio)).max(axis=1, initial=0)
    swing[whole.broken.any(axis=1)] = np.inf
    kept = np.sort(np.argsort(-swing, kind="stable")[:layers])
    return replace(
        whole,
        layers=tuple(whole.layers[place] for place in kept),
        first=whole.first[kept],
        second=whole.second[kept],
        broken=whole.broken[kept],
    )


@table_of.register(DifferenceMap)
def _(record: DifferenceMap) -> pd.DataFrame:
    import pandas as pd

    count, width = record.first.shape
    return pd.DataFrame(
        {
            "layer": np.repeat(np.array(record.layers, dtype=object), width),
            f"{record.axis}_from": np.tile(record.start, count),
            f"{record.axis}_to": np.tile(record.end, count),
            "first": record.first.ravel(),
            "second": record.second.ravel(),
            "log2_ratio": record.log_ratio.ravel(),
            "nonfinite": record.broken.ravel(),
        }
    )
