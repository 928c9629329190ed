"""Thinned evidence keeps its extremes, its marks and its ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradviz.analysis import EvidenceSeries, thin_evidence


def series(count: int, seed: int = 0) -> EvidenceSeries:
    y = np.random.default_rng(seed).lognormal(size=count)
    marked = np.zeros(count, dtype=np.bool_)
    marked[count // 3] = True
    return EvidenceSeries("accumulated", "update", np.arange(count, dtype=np.float64), y, marked, log=True)


@pytest.mark.parametrize("seed", range(3))
def test_extremes_marks_and_ends_stay(seed: int) -> None:
    whole = series(10_000, seed)
    found = thin_evidence(whole, points=300)
    assert 100 < len(found.y) <= 302
    assert {found.y.max(), found.y.min()} == {whole.y.max(), whole.y.min()}
    assert found.x[found.marked].tolist() == [3333]
    assert (found.x[0], found.x[-1]) == (0, 9999)
    np.testing.assert_array_equal(found.y, whole.y[found.x.astype(int)])


def test_stretches_without_a_number_keep_their_gap() -> None:
    whole = series(900)
    found = thin_evidence(replace(whole, y=np.where(whole.x < 450, np.nan, whole.y)), points=30)
    assert np.isnan(found.y[found.x < 450]).all()
    assert (found.x < 450).sum() >= 5


def test_layers_and_short_series_are_left_alone() -> None:
    few = series(100)
    assert thin_evidence(few, points=100) is few
    layers = replace(series(5000), over="layer")
    assert thin_evidence(layers) is layers
