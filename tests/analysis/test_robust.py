"""Robust slopes, against every pair by itself, and of as many rows as the largest models have layers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gradviz.analysis.robust import MOST_PAIRED, theil_sen


def slowly(column: list[float]) -> float:
    slopes = [
        (column[high] - column[low]) / (high - low)
        for low, high in combinations(range(len(column)), 2)
        if not np.isnan(column[low] + column[high])
    ]
    return float(np.median(slopes)) if slopes else np.nan


def test_the_median_slope_of_all_pairs() -> None:
    values = np.random.default_rng(0).normal(size=(30, 3)) + 0.2 * np.arange(30)[:, None]
    values[4:9, 1] = np.nan
    values[1:, 2] = np.nan
    expected = [slowly(column) for column in values.T.tolist()]
    np.testing.assert_allclose(theil_sen(values), expected, rtol=1e-12)
    assert np.isnan(expected[2])


@pytest.mark.parametrize("count", [MOST_PAIRED, 20_000])
def test_the_slope_of_very_many_rows(count: int) -> None:
    random = np.random.default_rng(1)
    values = (3 / count * np.arange(count) + 0.1 * random.normal(size=count))[:, None]
    values[random.choice(count, count // 10, replace=False)] = 50  # wild ones move it little
    assert theil_sen(values)[0] == pytest.approx(3 / count, rel=0.1)
