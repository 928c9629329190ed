"""Rows of what a reader chose to see: single layers as they are, groups of layers rolled up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import integers
from gradviz.analysis.groups import Group, rolled_up

if TYPE_CHECKING:
    import pandas as pd


def series_rows(gradients: pd.DataFrame, table: pd.DataFrame, series: Sequence[Group]) -> pd.DataFrame:
    """Rows of `Run.gradients()` in which each of `series` is one layer under its name; series may overlap.

    Args:
        gradients: rows of all layers of the series.
        table: `Run.layers`, for the numbers of elements.
    """
    import pandas as pd

    names = pd.CategoricalDtype([one.name for one in series])
    of_each = [_rows(gradients, table, one).astype({"layer": names}) for one in series]
    return pd.concat(of_each, ignore_index=True) if of_each else gradients.iloc[:0]


def newest_updates(events: pd.DataFrame, updates: tuple[int, int], *, most: int) -> tuple[int, int] | None:
    """Of the range `updates` the last whole windows with at most `most` events; None where not even one fits."""
    update = np.sort(integers(events, "update"))
    first, stop = np.searchsorted(update, updates[0]), np.searchsorted(update, updates[1], side="right")
    if stop - first <= most:
        return updates
    start = int(update[stop - most - 1]) + 1
    return (start, updates[1]) if start <= updates[1] else None


def _rows(gradients: pd.DataFrame, table: pd.DataFrame, one: Group) -> pd.DataFrame:
    rows = gradients[gradients["layer"].isin(one.layers)]
    return rows if one.layers == (one.name,) else rolled_up(rows, table, [one])
