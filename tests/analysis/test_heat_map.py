"""Cells of the heat map against sums over rows, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradviz
from gradviz.analysis import HeatMap, heat_map, heat_map_of_updates, most_changing
from tests.app.recorded import NAMES, record_run
from tests.reference_runs import reference_run


def cell(frame: object, layer: str, first: int, last: int) -> tuple[float, int, int]:
    """Sum, count and non-finite count of the updates first..last of a layer, the slow way."""
    total, count, broken = 0.0, 0, 0
    for row in frame.itertuples():  # type: ignore[attr-defined]
        if row.phase == "update" and row.layer == layer and first <= row.update <= last:
            if row.nonfinite == 0:
                total, count = total + float(row.l2), count + 1
            else:
                broken += 1
    return total, count, broken


def check(found: HeatMap, frame: object) -> None:
    for row, layer in enumerate(found.layers):
        for column, (first, last) in enumerate(zip(found.first_update, found.last_update, strict=True)):
            total, count, broken = cell(frame, layer, int(first), int(last))
            assert found.total[row, column] == pytest.approx(total, rel=1e-6)
            assert (found.count[row, column], found.nonfinite[row, column]) == (count, broken)


@pytest.mark.parametrize("columns", [400, 5, 1])
def test_every_cell_of_a_poisoned_run(tmp_path: Path, columns: int) -> None:
    run = gradviz.open_run(record_run(tmp_path, windows=[2] * 21, poison=(8, 1)))
    found = heat_map_of_updates(run.gradients(), columns=columns)
    assert found.layers == NAMES
    assert len(found.first_update) <= columns
    assert found.nonfinite.sum() == 1
    check(found, run.gradients())


def test_the_overview_gives_the_same_sums_in_blocks(tmp_path: Path) -> None:
    run = gradviz.open_run(record_run(tmp_path, windows=[2] * 40, poison=(20, 2)))
    found = heat_map(run.overview())
    assert found.first_update.tolist() == [0, 16, 32]
    assert found.last_update.tolist() == [15, 31, 39]
    assert found.updates_a_column == 16
    check(found, run.gradients())


def test_each_layer_is_held_against_its_own_median() -> None:
    found = heat_map_of_updates(reference_run(windows=(2,) * 9).gradients())
    for row in range(len(found.layers)):
        assert found.median[row] == pytest.approx(np.median(found.value[row]))
        assert np.median(found.ratio[row]) == pytest.approx(1)


def test_a_layer_without_gradient_has_no_median_and_no_value() -> None:
    found = heat_map_of_updates(reference_run(unused="first.bias").gradients())
    row = found.layers.index("first.bias")
    assert not found.count[row].any()
    assert np.isnan(found.value[row]).all()
    assert np.isnan(found.median[row])
    assert not np.isnan(np.delete(found.median, row)).any()


def test_skipped_updates_are_left_out() -> None:
    run = reference_run(windows=(2,) * 4)
    events = run.events()
    second = (events["phase"] == "update") & (events["update"] == 1)
    found = heat_map_of_updates(run.gradients(), events=events.assign(skipped=second.astype(float)))
    assert found.first_update.tolist() == [0, 2, 3]


def test_the_layers_that_change_most_stay_in_forward_order(tmp_path: Path) -> None:
    layers = [f"layer.{place}" for place in range(6)]
    run = gradviz.open_run(record_run(tmp_path, windows=[2] * 6, layers=layers, poison=(3, 1)))
    whole = heat_map_of_updates(run.gradients())
    found = most_changing(whole, 3)
    swing = np.abs(np.log(whole.ratio)).max(axis=1)
    swing[0] = np.inf  # the one that is poisoned
    assert found.layers == tuple(layers[place] for place in sorted(np.argsort(-swing)[:3]))
    assert found.layers_total == 6
    np.testing.assert_array_equal(found.total[0], whole.total[0])
    assert most_changing(whole, 6) is whole


def test_nothing_at_all() -> None:
    found = heat_map_of_updates(reference_run().gradients().iloc[:0])
    assert found.value.shape == (3, 0)
    assert np.isnan(found.median).all()
