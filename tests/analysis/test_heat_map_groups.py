"""Cells of groups of layers, from rows and from the overview, against one row after the other in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.analysis import STATISTICS, HeatMap, Statistic, heat_map, heat_map_of_updates
from gradviz.analysis.groups import Group, rolled_up
from gradviz.analysis.heat_map_rows import (
    ROW_ORDERS,
    boxed,
    focus,
    head,
    narrowed,
    ordered,
    part,
    swing,
    worst_levels,
)
from gradviz.analysis.tables import table_of
from gradviz.schema import Level
from gradviz.store import Run
from tests.store.made_runs import make_events, make_layers, write_run

GROUPS = (
    Group("front", ("layer_0.weight", "layer_1.weight", "layer_2.weight")),
    Group("back", ("layer_4.weight", "layer_5.weight")),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six layers over 60 updates; layers have no gradient now and then, others are not finite."""
    layers = make_layers(6)
    return gradviz.open_run(write_run(tmp_path_factory.mktemp("runs"), layers, [make_events(layers, 240)]))


Rows = dict[str, list[dict[str, float]]]


def finite_updates(run: Run) -> Rows:
    """Finite update rows by layer."""
    found: Rows = {layer: [] for layer in run.layers["layer"]}
    for row in run.gradients().to_dict("records"):
        if (row["phase"], row["nonfinite"]) == ("update", 0):
            found[row["layer"]].append(row)
    return found


def rows_of(frame: Rows, layer: str, first: int, last: int) -> list[dict[str, float]]:
    return [row for row in frame[layer] if first <= row["update"] <= last]


def slow_group(
    run: Run, frame: pd.DataFrame, group: Group, statistic: Statistic, first: int, last: int
) -> float:
    numel = {layer.name: layer.numel for layer in make_layers(6)}
    weights, total, squares, maxima = 0.0, 0.0, 0.0, []
    for layer in group.layers:
        rows = rows_of(frame, layer, first, last)
        weights += len(rows) * int(numel[layer])
        total += sum(float(row["mean_abs"]) * int(numel[layer]) for row in rows)
        squares += sum(float(row["l2"]) ** 2 for row in rows) / len(rows) if rows else 0.0
        maxima += [float(row["max_abs"]) for row in rows]
    if not maxima:
        return math.nan
    return {"mean_abs": total / weights, "l2": math.sqrt(squares), "max_abs": max(maxima)}[statistic]


def check(found: HeatMap, run: Run, statistic: Statistic) -> None:
    frame = finite_updates(run)
    assert found.layers == ("front", "back")
    assert found.sizes is not None
    assert found.sizes.tolist() == [3, 2]
    for row, group in enumerate(GROUPS):
        for column, (first, last) in enumerate(zip(found.first_update, found.last_update, strict=True)):
            expected = slow_group(run, frame, group, statistic, int(first), int(last))
            assert found.value[row, column] == pytest.approx(expected, rel=1e-6, nan_ok=True)
            finite = sum(len(rows_of(frame, layer, int(first), int(last))) for layer in group.layers)
            assert found.count[row, column] == finite


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("columns", [400, 7])
def test_groups_of_rows(run: Run, statistic: Statistic, columns: int) -> None:
    found = heat_map_of_updates(
        run.gradients(), statistic=statistic, columns=columns, groups=GROUPS, table=run.layers
    )
    assert len(found.first_update) <= columns
    check(found, run, statistic)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("columns", [400, 2])
def test_groups_of_blocks(run: Run, statistic: Statistic, columns: int) -> None:
    found = heat_map(run.overview(), statistic=statistic, columns=columns, groups=GROUPS, table=run.layers)
    check(found, run, statistic)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_of_one_update_a_group_is_what_its_rows_roll_up_to(run: Run, statistic: Statistic) -> None:
    whole = run.gradients()
    sound = whole[whole["nonfinite"] == 0]
    found = heat_map_of_updates(sound, statistic=statistic, groups=GROUPS, table=run.layers)
    rolled = heat_map_of_updates(rolled_up(sound, run.layers, GROUPS), statistic=statistic)
    np.testing.assert_allclose(found.value, rolled.value, rtol=1e-6)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_layer_is_its_mean_or_its_greatest(run: Run, statistic: Statistic) -> None:
    found = heat_map(run.overview(), statistic=statistic)
    assert found.sizes is None
    frame = finite_updates(run)
    for row, layer in enumerate(found.layers):
        for column, (first, last) in enumerate(zip(found.first_update, found.last_update, strict=True)):
            values = [float(one[statistic]) for one in rows_of(frame, layer, int(first), int(last))]
            expected = max(values) if statistic == "max_abs" else sum(values) / len(values)
            assert found.value[row, column] == pytest.approx(expected, rel=1e-6)
            assert found.total[row, column] == pytest.approx(sum(values), rel=1e-6)


def test_without_sums_of_squares_the_norm_of_a_group_is_unknown(run: Run) -> None:
    older = run.overview().assign(l2_squares_sum=np.nan)
    found = heat_map(older, statistic="l2", groups=GROUPS, table=run.layers)
    assert np.isnan(found.value).all()
    assert found.count.all()
    assert found.unknown.all()
    for statistic in ("mean_abs", "max_abs"):
        whole = heat_map(older, statistic=statistic, groups=GROUPS, table=run.layers)
        assert not np.isnan(whole.value).any()


def made(names: tuple[str, ...], value: list[list[float]]) -> HeatMap:
    cells = np.array(value)
    count = (~np.isnan(cells)).astype(np.int64)
    updates = np.arange(cells.shape[1])
    return HeatMap(names, "l2", updates, updates, cells, np.nan_to_num(cells), count, 0 * count, len(names))


SOME = made(("b.10.w", "b.2.w", "a", "zero"), [[1, 1, 1], [1, 1, 8], [1, 0.5, 1], [1, 0, 1]])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("forward", ("b.10.w", "b.2.w", "a", "zero")),
        ("name", ("a", "b.2.w", "b.10.w", "zero")),
        ("change", ("zero", "b.2.w", "a", "b.10.w")),
        ("finding", ("a", "b.2.w", "b.10.w", "zero")),
    ],
)
def test_orders(order: str, expected: tuple[str, ...]) -> None:
    found = ordered(SOME, order, {"a": 2, "b.2.w": 0})  # type: ignore[arg-type]
    assert found.layers == expected
    for row, name in enumerate(found.layers):
        np.testing.assert_array_equal(found.value[row], SOME.value[SOME.layers.index(name)])
    assert set(ROW_ORDERS) == {"forward", "name", "change", "finding"}


def test_what_is_not_finite_changes_most() -> None:
    broken = SOME.nonfinite.copy()
    broken[2, 1] = 1
    found = replace(SOME, nonfinite=broken)
    assert ordered(found, "change").layers[0] == "a"
    assert swing(found)[2] == np.inf


def test_a_part_and_a_head() -> None:
    found = part(SOME, ["zero", "b.2.w", "unknown"], (1, 2))
    assert found.layers == ("b.2.w", "zero")
    assert found.first_update.tolist() == [1, 2]
    np.testing.assert_array_equal(found.value, [[1, 8], [0, 1]])
    assert head(SOME, 2).layers == SOME.layers[:2]
    assert head(SOME, 9) is SOME


def test_the_table_has_a_row_a_cell() -> None:
    table = table_of(SOME)
    assert len(table) == 12
    row = table[(table["layer"] == "b.2.w") & (table["first_update"] == 2)].iloc[0]
    assert (row["last_update"], row["statistic"], row["value"], row["ratio_to_median"]) == (2, "l2", 8, 8)
    assert (row["updates"], row["nonfinite"]) == (1, 0)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ((0.6, 1.2), (1.0, 1.2), (("b.2.w",), (1, 1))),
        ((2.4, 0.4), (2.6, 0.6), (("b.2.w", "a", "zero"), (0, 2))),
        ((-9, 99), (-9, 99), (SOME.layers, (0, 2))),
        ((5, 9), (0, 1), None),
        ((0, 1), (9, 12), None),
    ],
)
def test_a_box_takes_the_cells_that_it_touches(
    x: tuple[float, float], y: tuple[float, float], expected: object
) -> None:
    assert boxed(SOME, x, y) == expected


def test_a_box_over_merged_columns_takes_all_their_updates() -> None:
    merged = replace(SOME, first_update=np.array([0, 16, 32]), last_update=np.array([15, 31, 40]))
    assert boxed(merged, (14, 17), (0, 0.2)) == (("b.10.w",), (0, 31))


def test_the_place_to_look_at() -> None:
    assert focus(SOME) == ("zero", 1)
    assert focus(part(SOME, ["b.2.w", "a"], None)) == ("b.2.w", 2)
    broken = SOME.nonfinite.copy()
    broken[0, 2] = broken[2, 1] = 1
    assert focus(replace(SOME, nonfinite=broken)) == ("a", 1)
    assert focus(part(SOME, [], None)) is None


def test_narrowed_rows_are_those_that_a_filter_would_leave(run: Run) -> None:
    rows, names = run.gradients(), ["layer_4.weight", "layer_1.weight"]
    found = narrowed(rows, names, (3, 17))
    expected = rows[rows["layer"].isin(names) & rows["update"].between(3, 17)]
    assert list(found["layer"].cat.categories) == names
    pd.testing.assert_frame_equal(found.astype({"layer": object}), expected.astype({"layer": object}))
    assert narrowed(rows, list(run.layers["layer"]), (0, 99)) is rows
    blocks = narrowed(run.overview(), names, (17, 33))
    assert sorted(set(blocks["block"])) == [1, 2]


def test_a_group_has_the_worst_level_of_its_layers() -> None:
    levels = {"layer_0.weight": Level.INFO, "layer_2.weight": Level.ERROR, "elsewhere": Level.ERROR}
    assert worst_levels(GROUPS, levels) == {"front": Level.ERROR}
