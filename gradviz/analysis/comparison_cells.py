"""Rows of a run as dense matrices of layers by events, to be held against those of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers

if TYPE_CHECKING:
    from gradviz.store import Run

NO_ROW = -2  # of a count: not recorded, or damaged
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Statistics [L, P] of L layers at P events. `nonfinite` is -1 where there is no gradient, -2 without a row."""

    l2: Floats
    mean_abs: Singles
    max_abs: Singles
    nonfinite: Integers

    def apart(self, other: Cells, lenient: Flags) -> Floats:
        """The relative difference of the L2 norms [L, P]; infinite where only one is there, or only one is finite.

        What a run has no row for, or where neither is finite, is not compared: 0. At the events in `lenient` [P] no
        gradient is the same as zero.
        """
        first, second = self._norms(lenient), other._norms(lenient)
        with np.errstate(invalid="ignore"):
            far = np.abs(first - second)
        size = np.maximum(first, second)
        relative = np.divide(far, size, out=np.zeros(size.shape), where=(far > 0) & np.isfinite(size))
        relative[np.isnan(first) != np.isnan(second)] = np.inf
        relative[(self.nonfinite > 0) != (other.nonfinite > 0)] = np.inf
        relative[(self.nonfinite > 0) & (other.nonfinite > 0)] = 0.0
        relative[(self.nonfinite == NO_ROW) | (other.nonfinite == NO_ROW)] = 0.0
        return relative

    def equals(self, other: Cells, lenient: Flags) -> bool:
        """Whether everything recorded is equal to the last bit, where both have a row."""
        both = (self.nonfinite != NO_ROW) & (other.nonfinite != NO_ROW)
        none = lenient & self._is_nothing() & other._is_nothing()
        same = self.nonfinite == other.nonfinite
        for name in ("l2", "mean_abs", "max_abs"):
            one, two = getattr(self, name), getattr(other, name)
            same &= (one == two) | (np.isnan(one) & np.isnan(two))
        return bool((same | none | ~both).all())

    def _norms(self, lenient: Flags) -> Floats:
        """L2 norms, NaN where there is no gradient."""
        return np.where(
            self.nonfinite == NO_GRADIENT, np.where(lenient, 0.0, np.nan), np.nan_to_num(self.l2, nan=np.inf)
        )

    def _is_nothing(self) -> Flags:
        return np.asarray((self.nonfinite == NO_GRADIENT) | ((self.nonfinite == 0) & (self.l2 == 0)))


def read_cells(run: Run, layers: Sequence[str], updates: tuple[int, int], events: Integers) -> Cells:
    """The rows of `layers` at `events`, all of which lie in `updates`."""
    table = run.layers.set_index("layer")["layer_id"]
    ids = table.reindex(list(layers)).to_numpy(dtype=np.int64)
    by_id, by_event = np.argsort(ids), np.argsort(events, kind="stable")
    shape = (len(ids), len(events))
    values = {name: np.full(shape, np.nan, dtype=np.float32) for name in ("l2", "mean_abs", "max_abs")}
    nonfinite = np.full(shape, NO_ROW, dtype=np.int64)
    columns = ["l2", "mean_abs", "max_abs", "nonfinite"]
    for piece in run.pieces(columns, layers=list(layers), updates=updates) if len(layers) else ():
        column = np.minimum(np.searchsorted(events, piece["event"], sorter=by_event), len(events) - 1)
        column = by_event[column]
        there = events[column] == piece["event"]
        row = by_id[np.searchsorted(ids, piece["layer_id"][there], sorter=by_id)]
        column = column[there]
        nonfinite[row, column] = piece["nonfinite"][there]
        for name, into in values.items():
            into[row, column] = piece[name][there]
    return Cells(values["l2"].astype(np.float64), values["mean_abs"], values["max_abs"], nonfinite)
