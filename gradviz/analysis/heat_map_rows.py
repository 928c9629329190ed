"""Which rows of a heat map to show, and in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from gradviz.analysis.frames import Floats, Integers, integers
from gradviz.analysis.groups import Group
from gradviz.analysis.heat_map import HeatMap
from gradviz.schema import Level

if TYPE_CHECKING:
    import pandas as pd

RowOrder = Literal["forward", "name", "change", "finding"]
ROW_ORDERS: tuple[RowOrder, ...] = ("forward", "name", "change", "finding")
GONE = 1e-30  # what a ratio of exactly zero counts as: farther than any number

_DIGITS = re.compile(r"(\d+)")


def swing(heat_map: HeatMap) -> Floats:
    """How far each layer goes from its own median [L]: the greatest |ln ratio|; infinite with NaN or Inf in it."""
    ratio = heat_map.ratio
    farthest = np.abs(np.log(np.where(ratio > 0, ratio, np.where(ratio == 0, GONE, 1.0)))).max(
        axis=1, initial=0
    )
    return np.where(heat_map.broken.any(axis=1), np.inf, farthest)


def most_changing(heat_map: HeatMap, layers: int) -> HeatMap:
    """At most `layers` layers, in the order they are in: those with NaN or Inf first, then those of the widest swing.

    `layers_total` remains what it was: the picture says how many of how many it shows.
    """
    if len(heat_map.layers) <= layers:
        return heat_map
    return _taken(heat_map, np.sort(np.argsort(-swing(heat_map), kind="stable")[:layers]))


def ordered(heat_map: HeatMap, order: RowOrder, ranks: Mapping[str, int] | None = None) -> HeatMap:
    """The rows in another order; layers that are equal in it stay as they were.

    `name` counts numbers in names as numbers: `blocks.2` is before `blocks.10`. `change` puts the widest swing first,
    `finding` the highest of `ranks`, which layers without a finding lack.
    """
    if order == "forward":
        return heat_map
    if order == "name":
        return _taken(heat_map, _by_name(heat_map.layers))
    if order == "change":
        return _taken(heat_map, np.argsort(-swing(heat_map), kind="stable"))
    rank = np.array([(ranks or {}).get(name, -1) for name in heat_map.layers], dtype=np.int64)
    return _taken(heat_map, np.argsort(-rank, kind="stable"))


def head(heat_map: HeatMap, layers: int) -> HeatMap:
    """The first `layers` rows."""
    return heat_map if len(heat_map.layers) <= layers else _taken(heat_map, np.arange(layers))


def part(heat_map: HeatMap, layers: Sequence[str], updates: tuple[int, int] | None) -> HeatMap:
    """The rows of these names, and the columns of which some update lies within `updates` (None: all)."""
    wanted = set(layers)
    rows = np.flatnonzero([name in wanted for name in heat_map.layers])
    first, last = updates if updates is not None else (0, np.iinfo(np.int64).max)
    columns = np.flatnonzero((heat_map.last_update >= first) & (heat_map.first_update <= last))
    some = _taken(heat_map, rows)
    return replace(
        some,
        first_update=some.first_update[columns],
        last_update=some.last_update[columns],
        **{name: getattr(some, name)[:, columns] for name in ("value", "total", "count", "nonfinite")},
    )


def boxed(
    heat_map: HeatMap, x: Sequence[float], y: Sequence[float]
) -> tuple[tuple[str, ...], tuple[int, int]] | None:
    """Rows and updates of the cells that a box touches; None beside the map.

    Args:
        x: its ends in updates.
        y: its ends in rows, of which the first is the one from -0.5 to 0.5.
    """
    rows = np.flatnonzero(
        (np.arange(len(heat_map.layers)) + 0.5 > min(y)) & (np.arange(len(heat_map.layers)) - 0.5 < max(y))
    )
    columns = np.flatnonzero((heat_map.last_update + 0.5 > min(x)) & (heat_map.first_update - 0.5 < max(x)))
    if not len(rows) or not len(columns):
        return None
    first, last = heat_map.first_update[columns[0]], heat_map.last_update[columns[-1]]
    return tuple(heat_map.layers[row] for row in rows), (int(first), int(last))


def focus(heat_map: HeatMap) -> tuple[str, int] | None:
    """The layer and the update at which the gradient is first not finite, else farthest from the layer's median."""
    if not heat_map.value.size:
        return None
    ratio = heat_map.ratio
    farthest = np.abs(np.log(np.where(ratio > 0, ratio, np.where(ratio == 0, GONE, 1.0))))
    farthest[heat_map.broken] = np.inf
    column, row = np.unravel_index(np.argmax(farthest.T), farthest.T.shape)
    return heat_map.layers[row], int(heat_map.first_update[column])


def narrowed(frame: pd.DataFrame, layers: Sequence[str], updates: tuple[int, int]) -> pd.DataFrame:
    """Rows of `Run.gradients()` or `Run.overview()` of these layers, which alone remain, in their order, and updates.

    A block of the overview stays where some of its updates are asked for.
    """
    first = "first_update" if "first_update" in frame else "update"
    last = "last_update" if "last_update" in frame else "update"
    wanted = (integers(frame, last) >= updates[0]) & (integers(frame, first) <= updates[1])
    if list(layers) == list(frame["layer"].cat.categories):
        return frame if wanted.all() else frame[wanted]
    column = frame["layer"].cat.set_categories(list(layers))
    return frame.assign(layer=column)[wanted & column.notna().to_numpy()]


def worst_levels(groups: Sequence[Group], levels: Mapping[str, Level]) -> dict[str, Level]:
    """Of each group with a finding about one of its layers, the worst level."""
    found = {group.name: [levels[layer] for layer in group.layers if layer in levels] for group in groups}
    return {name: max(several, key=lambda level: level.rank) for name, several in found.items() if several}


def _by_name(layers: Sequence[str]) -> Integers:
    keys = [
        [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in _DIGITS.split(name)]
        for name in layers
    ]
    return np.array(sorted(range(len(layers)), key=keys.__getitem__), dtype=np.int64)


def _taken(heat_map: HeatMap, rows: Integers) -> HeatMap:
    return replace(
        heat_map,
        layers=tuple(heat_map.layers[row] for row in rows),
        sizes=None if heat_map.sizes is None else heat_map.sizes[rows],
        **{name: getattr(heat_map, name)[rows] for name in ("value", "total", "count", "nonfinite")},
    )
