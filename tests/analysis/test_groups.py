"""Groups of layers, and their rows against a slow roll-up of one row after the other."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradviz
from gradviz.analysis import heat_map_of_updates, layer_flow, sawtooth
from gradviz.analysis.groups import Group, finest_depth, module_tree, rolled_up, tree_depth
from gradviz.schema import PHASES
from tests.store.made_runs import make_events, make_layers, write_run

NAMES = [
    "blocks.0.attn.weight",
    "blocks.0.attn.bias",
    "blocks.0.mlp.weight",
    "blocks.1.attn.weight",
    "head",
    "norm.weight",
]
FLOATS = (
    "mean_abs", "l2", "max_abs", "zeros", "micro_mean_abs", "micro_l2", "micro_max_abs", "cosine",
    "weight_l2", "step_l2", "unchanged",
)  # fmt: skip


def names_of(groups: tuple[Group, ...]) -> list[str]:
    return [group.name for group in groups]


@pytest.mark.parametrize(
    ("most", "depth"),
    [(6, None), (5, 3), (4, 2), (3, 1), (2, None)],  # None: all by themselves, or no way
)
def test_the_finest_depth_that_has_room(most: int, depth: int | None) -> None:
    assert finest_depth(NAMES, most) == depth


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, ["blocks", "head", "norm"]),
        (2, ["blocks.0", "blocks.1", "head", "norm"]),
        (3, ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "head", "norm"]),
        (4, NAMES),
        (40, NAMES),
    ],
)
def test_modules_down_to_a_depth(depth: int, expected: list[str]) -> None:
    groups = module_tree(NAMES, depth)
    assert names_of(groups) == expected
    assert sorted(layer for group in groups for layer in group.layers) == sorted(NAMES)


def test_a_group_is_where_its_first_layer_is() -> None:
    groups = module_tree(["b.x", "a.y", "b.z", "a.w"], 1)
    assert groups == (Group("b", ("b.x", "b.z")), Group("a", ("a.y", "a.w")))


def test_the_depth_at_which_layers_stand_alone() -> None:
    assert tree_depth(NAMES) == 4
    assert tree_depth(["weight", "bias"]) == 2
    assert tree_depth([]) == 1
    assert module_tree([], 1) == ()


def slow(cell: list[dict[str, Any]], numel: dict[str, int], name: str) -> float | None:
    """One statistic of the rows of one event and group; None: null."""
    if name == "cosine":
        return None
    count = "micro_nonfinite" if name.startswith("micro_") else "nonfinite"
    rows = []
    for row in cell:
        uncounted = name in ("zeros", "unchanged", "weight_l2", "step_l2")
        if (uncounted and not math.isnan(row[name])) or (not uncounted and pd.notna(row[count])):
            rows.append(row)
    if not rows:
        return None
    values = [float(row[name]) for row in rows]
    if name in ("nonfinite", "micro_nonfinite"):
        return sum(values)
    if any(math.isnan(value) for value in values):
        return math.nan
    if name.endswith("max_abs"):
        return max(values)
    if name.endswith("l2"):
        return math.sqrt(sum(value**2 for value in values))
    sizes = [numel[row["layer"]] for row in rows]
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)


def check(rows: pd.DataFrame, table: pd.DataFrame, groups: tuple[Group, ...]) -> None:
    found = rolled_up(rows, table, groups)
    assert list(found.columns) == list(rows.columns)
    assert list(found["layer"].cat.categories) == names_of(groups)
    assert list(found["phase"].cat.categories) == list(PHASES)
    assert {name: found[name].dtype for name in found if name not in ("layer",)} == {
        name: rows[name].dtype for name in rows if name not in ("layer",)
    }
    numel = dict(zip(table["layer"], table["numel"], strict=True))
    place = 0
    for group in groups:
        own = rows[rows["layer"].isin(group.layers)]
        for event in sorted(own["event"].unique()):
            cell, row = own[own["event"] == event].to_dict("records"), found.iloc[place]
            assert (row["layer"], row["event"]) == (group.name, event)
            for name in ("update", "micro_step", "phase"):
                assert row[name] == cell[0][name]
            for name in ("nonfinite", "micro_nonfinite"):
                expected = slow(cell, numel, name)
                assert row[name] is pd.NA if expected is None else row[name] == expected
            for name in FLOATS:
                expected = slow(cell, numel, name)
                wanted = math.nan if expected is None else expected
                assert float(row[name]) == pytest.approx(wanted, rel=1e-6, nan_ok=True), name
            place += 1
    assert place == len(found)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    owners=st.lists(st.integers(-1, 3), min_size=9, max_size=9),
)
def test_every_row_of_a_run_with_holes(count: int, seed: int, owners: list[int]) -> None:
    layers = make_layers(9)
    with tempfile.TemporaryDirectory() as parent:
        run = gradviz.open_run(write_run(Path(parent), layers, [make_events(layers, count, seed=seed)]))
        rows, table = run.gradients(), run.layers
    some = tuple(
        Group(f"group {one}", tuple(layer.name for layer, owner in zip(layers, owners, strict=True) if owner == one))
        for one in range(4)
    )  # fmt: skip
    check(rows, table, some)
    kept = rows[
        np.random.default_rng(seed).random(len(rows)) < 0.7
    ]  # an optimizer that owns a part of the layers
    check(kept, table, some)


def test_a_group_of_one_layer_is_that_layer(tmp_path: Path) -> None:
    layers = make_layers(3)
    run = gradviz.open_run(write_run(tmp_path, layers, [make_events(layers, 40)]))
    rows = run.gradients()
    alone = rolled_up(rows, run.layers, module_tree([layer.name for layer in layers], 9))
    pd.testing.assert_frame_equal(alone.drop(columns="cosine"), rows.drop(columns="cosine"), rtol=1e-6)


def test_records_take_groups_for_layers(tmp_path: Path) -> None:
    layers = make_layers(4)
    run = gradviz.open_run(write_run(tmp_path, layers, [make_events(layers, 40)]))
    groups = (Group("front", ("layer_0.weight", "layer_1.weight")), Group("back", ("layer_2.weight",)))
    rows = rolled_up(run.gradients(), run.layers, groups)
    assert len(sawtooth(rows, layer="front").x) == 40
    assert layer_flow(rows, event=1).layers == ("front", "back")
    assert heat_map_of_updates(rows).layers == ("front", "back")


def test_nothing_at_all(tmp_path: Path) -> None:
    layers = make_layers(2)
    run = gradviz.open_run(write_run(tmp_path, layers, [make_events(layers, 4)]))
    for groups in ((), module_tree([layer.name for layer in layers], 1)):
        found = rolled_up(run.gradients().iloc[:0], run.layers, groups)
        assert found.empty
        assert list(found["layer"].cat.categories) == names_of(groups)
