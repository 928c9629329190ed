"""The heat map: every layer over all updates of a run, each against its own median."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import (
    NO_GRADIENT,
    Flags,
    Floats,
    Integers,
    Statistic,
    counts,
    floats,
    integers,
    values_at,
)
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 400  # more are added up in equal numbers


@dataclass(frozen=True)
class HeatMap:
    """L layers in forward order, C columns of one update or several neighbours (`first_update`..`last_update`).

    `total` [L, C] is the sum of the statistic over the `count` [L, C] updates at which it is finite; `nonfinite`
    [L, C] counts the others, so that groups of layers or columns add up exactly. A cell with neither has no
    gradient, or was not recorded. `layers_total` is the number of layers before any thinning.
    """

    layers: tuple[str, ...]
    statistic: Statistic
    first_update: Integers
    last_update: Integers
    total: Floats
    count: Integers
    nonfinite: Integers
    layers_total: int

    @cached_property
    def value(self) -> Floats:
        """Mean of the statistic [L, C]; NaN where no update was finite."""
        nothing = np.full(self.total.shape, np.nan)
        mean: Floats = np.divide(self.total, self.count, out=nothing, where=self.count > 0)
        return mean

    @cached_property
    def median(self) -> Floats:
        """Median of each layer's cells that are not zero [L]; NaN where there are none."""
        positive = np.where(self.value > 0, self.value, np.nan)
        middle = np.full(len(self.layers), np.nan)
        known = (~np.isnan(positive)).any(axis=1) if positive.size else np.zeros(len(middle), dtype=np.bool_)
        middle[known] = np.nanmedian(positive[known], axis=1)
        return middle

    @cached_property
    def ratio(self) -> Floats:
        """`value` over the layer's median [L, C]; NaN where either is unknown."""
        return np.asarray(self.value / self.median[:, None])

    @property
    def broken(self) -> Flags:
        """Cells [L, C] with an update whose gradient was not finite."""
        return np.asarray(self.nonfinite > 0)

    @property
    def updates_a_column(self) -> int:
        """Updates that the widest column spans."""
        return int((self.last_update - self.first_update).max(initial=0)) + 1


def heat_map(overview: pd.DataFrame, *, statistic: Statistic = "l2", columns: int = COLUMNS) -> HeatMap:
    """The heat map of `Run.overview()`: blocks of 16 updates, exact, cheap for the longest run."""
    return _gathered(
        overview,
        statistic,
        key=integers(overview, "block"),
        first=integers(overview, "first_update"),
        last=integers(overview, "last_update"),
        total=floats(overview, f"{statistic}_sum"),
        count=integers(overview, "count"),
        nonfinite=integers(overview, "nonfinite"),
        columns=columns,
    )


def heat_map_of_updates(
    gradients: pd.DataFrame,
    *,
    statistic: Statistic = "l2",
    columns: int = COLUMNS,
    events: pd.DataFrame | None = None,
) -> HeatMap:
    """The heat map of `Run.gradients(phases="update")`: a column an update while they fit.

    Updates that a GradScaler skipped are left out where `events` (of `Run.events()`) says so: nothing consumed them.
    """
    rows = gradients[(gradients["phase"] == Phase.UPDATE.name.lower()).to_numpy()]
    rows = rows[~(values_at(events, "skipped", integers(rows, "event")) > 0)]
    update, bad, value = integers(rows, "update"), counts(rows, "nonfinite"), floats(rows, statistic)
    finite = (bad == 0) & np.isfinite(value)
    return _gathered(
        rows,
        statistic,
        key=update,
        first=update,
        last=update,
        total=np.where(finite, value, 0.0),
        count=finite.astype(np.int64),
        nonfinite=((bad != NO_GRADIENT) & ~finite).astype(np.int64),
        columns=columns,
    )


def most_changing(heat_map: HeatMap, layers: int) -> HeatMap:
    """At most `layers` layers, in forward order: those with NaN or Inf first, then those that leave their median most.

    `layers_total` remains what it was: the picture says how many of how many it shows.
    """
    if len(heat_map.layers) <= layers:
        return heat_map
    with np.errstate(divide="ignore"):
        swing = np.abs(np.log(np.where(heat_map.ratio > 0, heat_map.ratio, 1.0))).max(axis=1, initial=0)
    swing[heat_map.broken.any(axis=1)] = np.inf
    kept = np.sort(np.argsort(-swing, kind="stable")[:layers])
    return replace(
        heat_map,
        layers=tuple(heat_map.layers[place] for place in kept),
        total=heat_map.total[kept],
        count=heat_map.count[kept],
        nonfinite=heat_map.nonfinite[kept],
    )


def _gathered(
    rows: pd.DataFrame,
    statistic: Statistic,
    *,
    key: Integers,
    first: Integers,
    last: Integers,
    total: Floats,
    count: Integers,
    nonfinite: Integers,
    columns: int,
) -> HeatMap:
    """Add rows up into cells; neighbouring keys share a column where there are more than `columns` of them."""
    names = tuple(str(name) for name in rows["layer"].cat.categories)
    known, place = np.unique(key, return_inverse=True)
    place = place // max(1, -(-len(known) // columns))
    width = int(place.max(initial=-1)) + 1
    cell = rows["layer"].cat.codes.to_numpy(dtype=np.int64) * width + place
    starts, ends = np.full(width, np.iinfo(np.int64).max), np.full(width, -1)
    np.minimum.at(starts, place, first)
    np.maximum.at(ends, place, last)

    def spread(values: Floats | Integers) -> Floats:
        added = np.bincount(cell, weights=values, minlength=len(names) * width)
        return np.asarray(added.reshape(len(names), width), dtype=np.float64)

    return HeatMap(
        layers=names,
        statistic=statistic,
        first_update=starts,
        last_update=ends,
        total=spread(np.nan_to_num(total)),
        count=spread(count).astype(np.int64),
        nonfinite=spread(nonfinite).astype(np.int64),
        layers_total=len(names),
    )
