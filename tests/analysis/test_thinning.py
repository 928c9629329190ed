"""Thinning keeps windows whole, keeps the extremes and the trouble, and says how many are shown."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import Sawtooth, sawtooth, thin_windows
from gradviz.schema import Phase
from tests.reference_runs import reference_run

RUN = reference_run(windows=(4, 3, 4, 4) * 60, poison=(230, 2)).gradients()


def whole() -> Sawtooth:
    return sawtooth(RUN, layer="first.weight", statistic="l2")


@pytest.mark.parametrize("points", [20, 100, 300, 700, 1200])
def test_every_shown_window_is_whole(points: int) -> None:
    tooth, thin = whole(), thin_windows(whole(), points=points)
    for window in np.unique(thin.window):
        expected = tooth.event[tooth.window == window].tolist()
        assert thin.event[thin.window == window].tolist() == expected


@pytest.mark.parametrize("points", [100, 300, 700, 1200])
def test_the_budget_holds(points: int) -> None:
    assert len(thin_windows(whole(), points=points).event) <= points


@pytest.mark.parametrize("points", [20, 100, 700])
def test_largest_and_smallest_peak_and_the_trouble_stay(points: int) -> None:
    tooth, thin = whole(), thin_windows(whole(), points=points)
    assert np.nanmax(thin.value) == np.nanmax(tooth.value)
    peaks = [_peak(tooth, window) for window in range(230)]
    assert np.argmin(peaks) in thin.window
    assert (thin.nonfinite > 0).any()
    assert {tooth.window[0], tooth.window[-1]} <= set(thin.window)


def _peak(tooth: Sawtooth, window: int) -> float:
    return float(tooth.value[(tooth.window == window) & (tooth.phase == Phase.MICRO_STEP)].max())


def test_it_says_how_many_of_how_many() -> None:
    thin = thin_windows(whole(), points=300)
    assert thin.windows_total == 240
    assert 0 < thin.windows_shown < 240


def test_no_line_leads_over_a_window_that_is_left_out() -> None:
    thin = thin_windows(whole(), points=300)
    neighbours = np.diff(thin.window, prepend=-2) > 1
    assert not thin.joined[neighbours].any()


def test_lines_inside_and_between_neighbours_stay() -> None:
    tooth, thin = whole(), thin_windows(whole(), points=700)
    place = np.searchsorted(tooth.event, thin.event)
    same = np.flatnonzero(np.diff(place) == 1) + 1
    assert thin.joined[same].tolist() == tooth.joined[place[same]].tolist()


def test_nothing_changes_where_nothing_must() -> None:
    tooth = whole()
    assert thin_windows(tooth, points=10_000) is tooth
