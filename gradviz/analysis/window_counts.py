"""How many windows, how long, how many began clean, how many broke: of a whole run, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.frames import NO_GRADIENT, Flags, Integers
from gradviz.analysis.windows import window_axis
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("l2", "nonfinite")
PHASES = ("reset", "micro_step")


@dataclass(frozen=True)
class WindowCounts:
    """The W windows that have a micro-step: the `update` that each leads to, and its `length`.

    Of the layers looked at: `clean` and `stale` windows [W], by what their reset left (neither: none was recorded),
    and `broken` ones [W], whose last micro-step left something that is not finite.
    """

    update: Integers
    length: Integers
    clean: Flags
    stale: Flags
    broken: Flags


def window_counts(events: pd.DataFrame, pieces: Iterable[Mapping[str, NDArray[Any]]]) -> WindowCounts:
    """Count the windows of `events`.

    Args:
        events: of `Run.events()`.
        pieces: of `Run.pieces(COLUMNS, layers=..., phases=PHASES)`, of the same events.
    """
    axis = window_axis(events)
    windows = len(axis.update)
    micro = np.flatnonzero(axis.phase == Phase.MICRO_STEP)
    is_reset = axis.phase == Phase.RESET
    is_last = np.zeros(len(axis.event), dtype=np.bool_)
    is_last[micro[np.append(np.diff(axis.window[micro]) > 0, True)[: len(micro)]]] = True
    seen, left, bad = (np.zeros(windows, dtype=np.bool_) for _ in range(3))
    for piece in pieces if windows else ():  # the parts of events may be damaged, all of them
        place = np.minimum(np.searchsorted(axis.event, piece["event"]), len(axis.event) - 1)
        known = axis.event[place] == piece["event"]
        something = (piece["nonfinite"] != NO_GRADIENT) & (piece["l2"] != 0)
        seen[axis.window[place[known & is_reset[place]]]] = True
        left[axis.window[place[known & is_reset[place] & something]]] = True
        bad[axis.window[place[known & is_last[place] & (piece["nonfinite"] > 0)]]] = True
    there = np.bincount(axis.window[micro], minlength=windows) > 0
    return WindowCounts(
        update=axis.update[there],
        length=axis.length[there],
        clean=(seen & ~left)[there],
        stale=left[there],
        broken=bad[there],
    )
