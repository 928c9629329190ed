"""Counts of a whole run, against the ledger of the same rows; and rows of what was chosen, against a slow roll-up."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import sawtooth, window_ledger
from gradviz.analysis.groups import Group
from gradviz.analysis.series_rows import newest_updates, series_rows
from gradviz.analysis.window_counts import COLUMNS, PHASES, window_counts
from gradviz.store import open_run, sample_folder

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))


@pytest.mark.parametrize("sample", SAMPLES)
def test_counts_are_those_of_the_ledger(sample: str) -> None:
    run = open_run(sample_folder() / sample)
    layers = list(run.layers["layer"][:3])
    events = run.events()
    found = window_counts(events, run.pieces(COLUMNS, layers=layers, phases=PHASES))
    frame = window_ledger(run.gradients(layers=layers), events).frame
    np.testing.assert_array_equal(found.update, frame["update"])
    np.testing.assert_array_equal(found.length, frame["length"])
    np.testing.assert_array_equal(found.clean, frame["reset"] == "clean")
    np.testing.assert_array_equal(found.stale, frame["reset"] == "not reset")
    np.testing.assert_array_equal(found.broken, frame["nonfinite"] > 0)


def test_nothing_of_nothing() -> None:
    events = open_run(sample_folder() / SAMPLES[0]).events()
    assert len(window_counts(events.iloc[:0], []).update) == 0
    assert not window_counts(events, []).clean.any()


def test_layers_and_overlapping_groups_are_series_on_one_axis() -> None:
    run = open_run(sample_folder() / "healthy-transformer-n8")
    names = [str(name) for name in run.layers["layer"]]
    rows, table = run.gradients(updates=(3, 5)), run.layers
    series = [Group(names[0], (names[0],)), Group("some", tuple(names[:4])), Group("all", tuple(names))]
    found = series_rows(rows, table, series)
    sizes = table.set_index("layer")["numel"]
    for group in series[1:]:
        own = sawtooth(found, layer=group.name, statistic="mean_abs")
        whole = rows[rows["layer"].isin(group.layers)]
        for event, value in zip(own.event, own.value, strict=True):
            there = whole[(whole["event"] == event) & whole["nonfinite"].notna()]
            weights = sizes[there["layer"].astype(str)].to_numpy(dtype=float)
            if len(there):
                expected = np.sum(there["mean_abs"].to_numpy(dtype=np.float64) * weights) / weights.sum()
                assert value == pytest.approx(expected, rel=1e-6)
    alone = sawtooth(found, layer=names[0])
    np.testing.assert_array_equal(alone.value, sawtooth(rows, layer=names[0]).value)
    np.testing.assert_array_equal(alone.x, sawtooth(found, layer="all").x)


def test_the_newest_whole_windows_that_fit() -> None:
    events = open_run(sample_folder() / "healthy-transformer-n8").events()  # ten events a window
    assert newest_updates(events, (0, 9), most=100) == (0, 9)
    assert newest_updates(events, (0, 9), most=35) == (7, 9)
    assert newest_updates(events, (0, 9), most=9) is None
