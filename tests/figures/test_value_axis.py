"""Zero, missing and not-finite have places of their own, on both kinds of axis."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.figures.value_axis import value_axis

VALUES = np.array([0.0, 1e-4, 3.0, np.nan, np.nan])
NONFINITE = np.array([0, 0, 0, -1, 5])


@pytest.mark.parametrize("log", [True, False])
def test_four_kinds_of_value_stand_apart(log: bool) -> None:
    axis = value_axis(VALUES, NONFINITE, log=log)
    heights = axis.place(VALUES, NONFINITE)
    assert np.isfinite(heights).all()
    assert len(set(heights)) == len(VALUES)
    zero, small, large, none, nonfinite = heights
    assert none < zero < small < large < nonfinite
    assert axis.bottom < none
    assert axis.top > nonfinite


@pytest.mark.parametrize("log", [True, False])
def test_the_shelves_are_named_on_the_axis(log: bool) -> None:
    layout = value_axis(VALUES, NONFINITE, log=log).layout
    named = dict(zip(layout["ticktext"], layout["tickvals"], strict=True))
    assert {"None", "0", "NaN·Inf"} <= set(named)
    assert len(set(layout["tickvals"])) == len(layout["tickvals"])


def test_without_a_gradient_is_said_in_the_readers_language() -> None:
    assert "无梯度" in value_axis(VALUES, NONFINITE, log=True, language="zh").layout["ticktext"]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("values", [[], [0.0], [np.nan], [1e-38, 1e38], [5.0], [1e-45]])
def test_any_values_give_a_usable_range(values: list[float], log: bool) -> None:
    numbers = np.array(values, dtype=np.float64)
    layout = value_axis(numbers, np.isnan(numbers).astype(np.int64), log=log).layout
    low, high = layout["range"]
    assert np.isfinite([low, high]).all()
    assert low < high


def test_log_ticks_cover_decades_without_crowding() -> None:
    layout = value_axis(np.array([1e-12, 1.0]), np.array([0, 0]), log=True).layout
    assert 4 <= len(layout["tickvals"]) <= 10
    assert all(np.log10(tick) == pytest.approx(round(np.log10(tick))) for tick in layout["tickvals"])
