"""The heat map: every layer over all updates of a run, each against its own median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from gradviz.analysis.groups import Group
from gradviz.analysis.heat_map_cells import Addends, Members, cell_sums, group_value, layer_value
from gradviz.analysis.tables import framed, table_of
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 400  # more are added up in equal numbers


@dataclass(frozen=True)
class HeatMap:
    """L layers (or groups of them) in forward order, C columns of one update or several neighbours.

    `value` [L, C] is NaN where no update was finite. Of a layer, several updates make the mean of the statistic, or
    its greatest for `max_abs`. Of a group: mean |x| over all elements of its layers and updates; the L2 norm of all
    its layers together, of several updates the root of the mean square; the greatest maximum.

    `count` [L, C] are the rows (one a layer and update) that are finite and make up `total`, the plain sum of their
    statistic; `nonfinite` counts the others. A cell with neither has no gradient, or was not recorded.
    `layers_total` is the number of rows before any thinning; `sizes` [L] the number of layers in each group, None
    where each row is a layer.
    """

    layers: tuple[str, ...]
    statistic: Statistic
    first_update: Integers
    last_update: Integers
    value: Floats
    total: Floats
    count: Integers
    nonfinite: Integers
    layers_total: int
    sizes: Integers | None = None

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
    def unknown(self) -> Flags:
        """Cells [L, C] that have finite updates, but not the sums that a group needs."""
        return np.asarray((self.count > 0) & np.isnan(self.value))

    @property
    def updates_a_column(self) -> int:
        """Updates that the widest column spans."""
        return int((self.last_update - self.first_update).max(initial=0)) + 1


def heat_map(
    overview: pd.DataFrame,
    *,
    statistic: Statistic = "l2",
    columns: int = COLUMNS,
    groups: Sequence[Group] | None = None,
    table: pd.DataFrame | None = None,
) -> HeatMap:
    """The heat map of `Run.overview()`: blocks of 16 updates, exact, cheap for the longest run.

    `groups` (with `table`, of `Run.layers`) take the place of layers. Their norm is NaN in a block of which an older
    gradviz kept no sum of squares.
    """
    greatest = floats(overview, f"{statistic}_max")
    addends = Addends(
        layer=_layer_numbers(overview),
        key=integers(overview, "block"),
        first=integers(overview, "first_update"),
        last=integers(overview, "last_update"),
        total=floats(overview, f"{statistic}_sum"),
        squares=floats(overview, "l2_squares_sum"),
        greatest=np.where(np.isnan(greatest), -np.inf, greatest),
        count=integers(overview, "count"),
        nonfinite=integers(overview, "nonfinite"),
    )
    return _gathered(_names(overview), addends, statistic, columns, groups, table)


def block_columns(statistic: Statistic) -> list[str]:
    """The columns of `Run.overview()` that `heat_map` needs."""
    return ["count", "nonfinite", f"{statistic}_sum", f"{statistic}_max", "l2_squares_sum"]


def heat_map_of_updates(
    gradients: pd.DataFrame,
    *,
    statistic: Statistic = "l2",
    columns: int = COLUMNS,
    events: pd.DataFrame | None = None,
    groups: Sequence[Group] | None = None,
    table: pd.DataFrame | None = None,
) -> HeatMap:
    """The heat map of `Run.gradients(phases="update")`: a column an update while they fit; `groups` as above.

    Updates that a GradScaler skipped are left out where `events` (of `Run.events()`) says so: nothing consumed them.
    """
    rows = gradients[(gradients["phase"] == Phase.UPDATE.name.lower()).to_numpy()]
    rows = rows[~(values_at(events, "skipped", integers(rows, "event")) > 0)]
    update, bad, value = integers(rows, "update"), counts(rows, "nonfinite"), floats(rows, statistic)
    finite = (bad == 0) & np.isfinite(value)
    addends = Addends(
        layer=_layer_numbers(rows),
        key=update,
        first=update,
        last=update,
        total=np.where(finite, value, 0.0),
        squares=np.where(finite, value, 0.0) ** 2,
        greatest=np.where(finite, value, -np.inf),
        count=finite.astype(np.int64),
        nonfinite=((bad != NO_GRADIENT) & ~finite).astype(np.int64),
    )
    return _gathered(_names(rows), addends, statistic, columns, groups, table)


def _names(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows["layer"].cat.categories]


def _layer_numbers(rows: pd.DataFrame) -> Integers:
    return np.asarray(rows["layer"].cat.codes.to_numpy(), dtype=np.int64)


def _gathered(
    names: list[str],
    addends: Addends,
    statistic: Statistic,
    columns: int,
    groups: Sequence[Group] | None,
    table: pd.DataFrame | None,
) -> HeatMap:
    sums = cell_sums(addends, len(names), columns)
    value, total = layer_value(sums, statistic), sums.total
    count, nonfinite, sizes = sums.count, sums.nonfinite, None
    if groups is not None and table is not None:
        members = Members(names, groups, table)
        value, total = group_value(sums, statistic, members), members.add(total)
        count, nonfinite = (members.add(one).astype(np.int64) for one in (count, nonfinite))
        sizes = np.array([len(group.layers) for group in groups], dtype=np.int64)
        names = [group.name for group in groups]
    return HeatMap(
        layers=tuple(names),
        statistic=statistic,
        first_update=sums.first,
        last_update=sums.last,
        value=value,
        total=total,
        count=count,
        nonfinite=nonfinite,
        layers_total=len(names),
        sizes=sizes,
    )


@table_of.register(HeatMap)
def _(record: HeatMap) -> pd.DataFrame:
    columns = len(record.first_update)
    flat = {name: getattr(record, name).ravel() for name in ("value", "ratio", "count", "nonfinite")}
    return framed(
        {
            "layer": np.repeat(np.array(record.layers, dtype=object), columns),
            "first_update": np.tile(record.first_update, len(record.layers)),
            "last_update": np.tile(record.last_update, len(record.layers)),
            "statistic": record.statistic,
            "value": flat["value"],
            "ratio_to_median": flat["ratio"],
            "updates": flat["count"],
            "nonfinite": flat["nonfinite"],
        }
    )
