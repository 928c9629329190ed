"""Rows added up into the cells of a heat map, and what a cell of a layer, or of a group of layers, is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers, Statistic
from gradviz.analysis.groups import Group

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Addends:
    """N rows: the number of its layer, and its update or block (`key`), which reaches from `first` to `last`.

    `total`, `squares` and `greatest` are of the statistic over `count` updates; `nonfinite` more are in none of them.
    """

    layer: Integers
    key: Integers
    first: Integers
    last: Integers
    total: Floats
    squares: Floats
    greatest: Floats
    count: Integers
    nonfinite: Integers


@dataclass(frozen=True)
class CellSums:
    """The same added up [L, C]; `first` and `last` [C] of each column."""

    first: Integers
    last: Integers
    total: Floats
    squares: Floats
    greatest: Floats
    count: Integers
    nonfinite: Integers


def cell_sums(addends: Addends, layers: int, columns: int) -> CellSums:
    """Neighbouring keys share a column, in equal numbers, where there are more than `columns` of them."""
    known, place = np.unique(addends.key, return_inverse=True)
    place = place // max(1, -(-len(known) // columns))
    width = int(place.max(initial=-1)) + 1
    cell = addends.layer * width + place
    first, last = np.full(width, np.iinfo(np.int64).max), np.full(width, -1)
    np.minimum.at(first, place, addends.first)
    np.maximum.at(last, place, addends.last)
    greatest = np.full(layers * width, -np.inf)
    np.maximum.at(greatest, cell, addends.greatest)

    def added(values: Floats | Integers) -> Floats:
        summed = np.bincount(cell, weights=values, minlength=layers * width)
        return np.asarray(summed.reshape(layers, width), dtype=np.float64)

    return CellSums(
        first=first,
        last=last,
        total=added(addends.total),
        squares=added(addends.squares),
        greatest=greatest.reshape(layers, width),
        count=added(addends.count).astype(np.int64),
        nonfinite=added(addends.nonfinite).astype(np.int64),
    )


def layer_value(sums: CellSums, statistic: Statistic) -> Floats:
    """Of each layer: the mean over the updates of a cell, or their greatest maximum; NaN without any."""
    return _over(sums.greatest if statistic == "max_abs" else sums.total, sums.count, statistic)


def group_value(sums: CellSums, statistic: Statistic, members: Members) -> Floats:
    """Of each group, as if all its elements were one gradient.

    Mean |x| over all elements of all updates; the root of the layers' mean squared norms added up, which is the root
    mean square over the updates of the norm of the group; the greatest maximum.
    """
    count = members.add(sums.count)
    if statistic == "max_abs":
        return _over(members.greatest(sums.greatest), count, statistic)
    if statistic == "l2":
        squares = np.where(sums.count > 0, sums.squares / np.maximum(sums.count, 1), 0.0)
        return np.where(count > 0, np.sqrt(members.add(squares)), np.nan)
    elements = members.numel[:, None]
    return _over(members.add(sums.total * elements), members.add(sums.count * elements), statistic)


def _over(total: Floats, count: Floats | Integers, statistic: Statistic) -> Floats:
    divisor = np.minimum(count, 1) if statistic == "max_abs" else count
    value: Floats = np.divide(total, divisor, out=np.full(total.shape, np.nan), where=count > 0)
    return value


class Members:
    """Which of the layers `names` belong to which of the groups; those of no group are left out."""

    def __init__(self, names: Sequence[str], groups: Sequence[Group], table: pd.DataFrame) -> None:
        group_of = {layer: place for place, group in enumerate(groups) for layer in group.layers}
        numel = dict(zip(table["layer"], table["numel"], strict=True))
        self.group = np.array([group_of.get(name, -1) for name in names], dtype=np.int64)
        self.numel = np.array([max(int(numel.get(name, 0)), 1) for name in names], dtype=np.float64)
        self.groups = len(groups)

    def add(self, values: Floats | Integers) -> Floats:
        """Sums [G, C] over the layers of each group."""
        found = np.zeros((self.groups, values.shape[1]))
        np.add.at(found, self.group[self.group >= 0], values[self.group >= 0])
        return found

    def greatest(self, values: Floats) -> Floats:
        """Maxima [G, C] over the layers of each group."""
        found = np.full((self.groups, values.shape[1]), -np.inf)
        np.maximum.at(found, self.group[self.group >= 0], values[self.group >= 0])
        return found
