"""One value an event: several layers combined, or one layer alone, numbered in windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import NO_GRADIENT, Floats, Integers, Statistic, counts, floats, integers
from gradviz.analysis.windows import WindowAxis, window_axis
from gradviz.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Totals:
    """Of each event of `axis`: the statistic of all its gradients together.

    NaN where a layer is not finite; `nonfinite` counts the elements, and is -1 where no layer had a gradient.
    """

    axis: WindowAxis
    value: Floats
    micro_value: Floats
    nonfinite: Integers
    micro_nonfinite: Integers


def totals(gradients: pd.DataFrame, statistic: Statistic = "l2") -> Totals:
    """Combine all rows of each event: norms as the root of the sum of squares, maxima as the maximum.

    A mean of |x| needs the sizes of the layers to be combined: it is known for one layer only.
    """
    if statistic == "mean_abs" and gradients["layer"].nunique() > 1:
        raise QueryError(
            "'mean_abs' of several layers cannot be combined. Ask for one layer, or for 'l2' or 'max_abs'."
        )
    axis = window_axis(gradients)
    place = np.searchsorted(axis.event, integers(gradients, "event"))

    def combined(column: str, count: Integers) -> Floats:
        values = np.where(count > 0, np.nan, floats(gradients, column))
        present = count != NO_GRADIENT
        size = len(axis.event)
        total = np.zeros(size)
        if statistic == "max_abs":
            np.maximum.at(total, place[present], values[present])
        else:
            total = np.sqrt(np.bincount(place[present], weights=values[present] ** 2, minlength=size))
        return np.where(_summed(place, count, size) == NO_GRADIENT, np.nan, total)

    nonfinite, micro_nonfinite = counts(gradients, "nonfinite"), counts(gradients, "micro_nonfinite")
    size = len(axis.event)
    return Totals(
        axis=axis,
        value=combined(statistic, nonfinite),
        micro_value=combined(f"micro_{statistic}", micro_nonfinite),
        nonfinite=_summed(place, nonfinite, size),
        micro_nonfinite=_summed(place, micro_nonfinite, size),
    )


def _summed(place: Integers, count: Integers, size: int) -> Integers:
    """The counts of each event added up; -1 where no layer had a gradient."""
    present = count != NO_GRADIENT
    total = np.bincount(place[present], weights=count[present], minlength=size).astype(np.int64)
    seen = np.bincount(place[present], minlength=size)
    return np.where(seen > 0, total, NO_GRADIENT)
