"""How far a run had come at each of its updates: in updates, in samples, in tokens, in elements of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gradviz.analysis.frames import Floats, Integers, floats, integers, phases
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

Axis = Literal["update", "samples", "tokens", "loss_elements"]
AXES: tuple[Axis, ...] = get_args(Axis)
LOGGED = ("samples", "tokens")  # of one rank: several ranks have so many each
CLOCK_COLUMNS = ("loss", *AXES[1:], "ranks")  # of `Run.events()`


@dataclass(frozen=True)
class RunClock:
    """The windows [U] of a run, ascending by `update`, and what had gone into the training by the end of each.

    `counted` maps an axis to the running total [U]; an axis is there only if every micro-step has the number.
    `loss` is the mean over the window's micro-steps, NaN where it is unknown.
    """

    update: Integers
    loss: Floats
    counted: Mapping[Axis, Floats]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What the run can be placed on."""
        return tuple(axis for axis in AXES if axis == "update" or axis in self.counted)

    def at(self, axis: Axis, update: Integers) -> Floats:
        """Where on `axis` the run was at the end of each window in `update`; NaN at windows that it lacks."""
        if axis == "update":
            return update.astype(np.float64)
        if not len(self.update):
            return np.full(len(update), np.nan)
        place = np.minimum(np.searchsorted(self.update, update), len(self.update) - 1)
        return np.where(self.update[place] == update, self.counted[axis][place], np.nan)


def run_clock(events: pd.DataFrame) -> RunClock:
    """The clock of `Run.events()`."""
    rows = events[phases(events) == Phase.MICRO_STEP]
    update, window = np.unique(integers(rows, "update"), return_inverse=True)
    known = np.isfinite(loss := floats(rows, "loss"))
    losses = np.bincount(window[known], weights=loss[known], minlength=len(update))
    entries = np.bincount(window[known], minlength=len(update))
    counted: dict[Axis, Floats] = {}
    for axis in AXES[1:]:
        numbers = floats(rows, axis) * (_ranks(rows) if axis in LOGGED else 1.0)
        if len(rows) and np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.any():
            counted[axis] = np.cumsum(np.bincount(window, weights=numbers, minlength=len(update)))
    mean = np.divide(losses, entries, out=np.full(len(update), np.nan), where=entries > 0)
    return RunClock(update.astype(np.int64), mean, counted)


def _ranks(rows: pd.DataFrame) -> Floats:
    return np.nan_to_num(floats(rows, "ranks"), nan=1.0)
