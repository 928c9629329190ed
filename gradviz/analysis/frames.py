"""Columns of the frames of `Run.gradients()` and `Run.events()` as plain float64 and int64 arrays.

A null is told from a NaN by its count of non-finite values: null (here -1) means that there was no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradviz.schema import PHASES

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Statistic = Literal["mean_abs", "l2", "max_abs"]
STATISTICS: tuple[Statistic, ...] = ("mean_abs", "l2", "max_abs")
NO_GRADIENT = -1


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """A column as float64, nulls as NaN; all NaN where the frame lacks it."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def integers(frame: pd.DataFrame, column: str) -> Integers:
    """A column without nulls as int64."""
    return np.asarray(frame[column].to_numpy(), dtype=np.int64)


def counts(frame: pd.DataFrame, column: str) -> Integers:
    """A column of counts as int64, nulls as `NO_GRADIENT`."""
    numbers = floats(frame, column)
    return np.where(np.isnan(numbers), NO_GRADIENT, numbers).astype(np.int64)


def phases(frame: pd.DataFrame) -> Integers:
    """The column `phase` as numbers of `schema.Phase`."""
    return frame["phase"].cat.set_categories(list(PHASES)).cat.codes.to_numpy().astype(np.int64)


def rows_of_layer(gradients: pd.DataFrame, layer: str) -> pd.DataFrame:
    """The rows of one layer in event order; none where the frame does not know the layer."""
    column = gradients["layer"].cat
    known = list(column.categories).index(layer) if layer in column.categories else -1
    rows = gradients[column.codes.to_numpy() == known] if known >= 0 else gradients.iloc[:0]
    return rows.sort_values("event", kind="stable")


def values_at(events: pd.DataFrame | None, column: str, event: Integers) -> Floats:
    """The scalar `column` of `Run.events()` at each number in `event`; NaN where there is none."""
    found = np.full(len(event), np.nan)
    if events is None or not len(events) or column not in events.columns:
        return found
    known = integers(events, "event")
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, event, sorter=order), len(known) - 1)
    rows = order[place]
    return np.where(known[rows] == event, floats(events, column)[rows], found)


def ranks_at(events: pd.DataFrame | None, event: Integers) -> Floats:
    """How many ranks have each event; of several together `loss_elements` is the sum, while gradients are averaged."""
    return np.nan_to_num(values_at(events, "ranks", event), nan=1.0)
