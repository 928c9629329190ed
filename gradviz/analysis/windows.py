"""One axis for all layers: which window an event belongs to, and where it stands among the micro-steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers, integers, phases
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WindowAxis:
    """E events in ascending order, in W windows.

    `x` counts micro-steps from the first recorded window on; windows that were not recorded (`missed`,
    the number between a window and the one before it) take a short blank stretch, whatever their number.
    """

    event: Integers
    micro_step: Integers
    phase: Integers
    window: Integers
    x: Floats
    update: Integers  # [W]
    start: Floats  # [W] where micro_step 0 stands
    length: Integers  # [W] number of its last micro-step; 0: a reset at the end of the run
    missed: Integers  # [W]


def window_axis(gradients: pd.DataFrame) -> WindowAxis:
    """Number the windows of all rows of `gradients`, whatever their layer."""
    event, first = np.unique(integers(gradients, "event"), return_index=True)
    rows = gradients.iloc[first]
    update, micro_step, phase = integers(rows, "update"), integers(rows, "micro_step"), phases(rows)
    window = np.cumsum(_opens(update, micro_step, phase)) - 1
    count = int(window[-1]) + 1 if len(window) else 0
    length = np.zeros(count, dtype=np.int64)
    np.maximum.at(length, window, micro_step)
    window_update = update[np.searchsorted(window, np.arange(count))] if count else update
    missed = np.maximum(np.diff(window_update, prepend=window_update[:1]) - 1, 0)
    missed[:1] = 0
    start = _starts(length, missed)
    x = start[window] + micro_step
    return WindowAxis(event, micro_step, phase, window, x, window_update, start, length, missed)


def usual_window(events: pd.DataFrame, windows: tuple[int, int]) -> int:
    """The newest of `windows` (first and last) with as many micro-steps as most of them have, else the last.

    The last window of an epoch, or of a run that is being recorded, is often shorter: a bad one to begin with.
    """
    update = integers(events, "update")
    inside = (update >= windows[0]) & (update <= windows[1])
    micro = update[inside & (events["phase"] == "micro_step").to_numpy()]
    if not len(micro):
        return windows[1]
    found, length = np.unique(micro, return_counts=True)
    lengths, times = np.unique(length, return_counts=True)
    usual = lengths[times == times.max()].max()
    return int(found[length == usual].max())


def _opens(update: Integers, micro_step: Integers, phase: Integers) -> Flags:
    """Which events open a window: a new update number, a reset, or a micro-step that does not count on."""
    opens: Flags = phase == int(Phase.RESET)
    opens[:1] = True
    opens[1:] |= update[1:] != update[:-1]
    micro = np.flatnonzero(phase == Phase.MICRO_STEP)
    group = np.cumsum(opens)[micro]
    restarts = (np.diff(micro_step[micro]) <= 0) & (np.diff(group) == 0)
    opens[micro[1:][restarts]] = True
    return opens


def _starts(length: Integers, missed: Integers) -> Floats:
    blank = max(1.0, float(np.median(length)) / 2) if len(length) else 1.0
    before = np.concatenate([[0], np.cumsum(length)[:-1]]) if len(length) else length
    return before + blank * np.cumsum(missed > 0)
