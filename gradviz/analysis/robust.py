"""Statistics that one wild value does not move: slopes, and how far a value stands from its own past."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Floats, Integers

MAD_TO_SIGMA = 1.4826
LEAST_MAD = 0.05  # of logarithms: no series is taken for quieter than 5 %
MOST_PAIRED = 1_000  # rows: the pairs of 10,000 would take minutes and gigabytes


def theil_sen(values: Floats) -> Floats:
    """Median slope over all pairs of rows of `values` [L, W], a column each; rows count 0, 1, 2 ...; NaN is left out.

    Of more than 1,000 rows so many are paired, the first and the last among them and the others evenly spread.
    Source: Theil (1950), Sen (1968). NaN for a column with fewer than two values.
    """
    rows = np.linspace(0, len(values) - 1, min(len(values), MOST_PAIRED)).round().astype(np.int64)
    low, high = (rows[ends] for ends in np.triu_indices(len(rows), k=1))
    slopes = (values[high] - values[low]) / (high - low)[:, None]
    found = np.full(values.shape[1], np.nan)
    known = ~np.isnan(slopes).all(axis=0)
    found[known] = np.nanmedian(slopes[:, known], axis=0)
    return found


def past_median(values: Floats, length: int, least: int) -> Floats:
    """Median of the up to `length` values before each one; NaN where there are fewer than `least`."""
    import pandas as pd  # the frames that were read have loaded it

    rolling = pd.Series(values).rolling(length, min_periods=least).median()
    return np.concatenate([[np.nan], rolling.to_numpy(dtype=np.float64)[:-1]])[: len(values)]


def robust_z(logs: Floats, places: Integers, length: int) -> Floats:
    """How many robust standard deviations logs[place] stands above the `length` values before it, for each place."""
    scores = np.empty(len(places))
    for number, place in enumerate(places):
        past = logs[max(0, place - length) : place]
        middle = np.median(past)
        spread = max(float(np.median(np.abs(past - middle))), LEAST_MAD)
        scores[number] = (logs[place] - middle) / (MAD_TO_SIGMA * spread)
    return scores
