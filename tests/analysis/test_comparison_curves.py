"""Curves, the map of differences, the clock and the facts of several runs, against loops over their rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.analysis import (
    Axis,
    Statistic,
    compared_curves,
    compared_facts,
    compared_losses,
    compared_run,
    difference_map,
    rows_to_read,
    run_clock,
)
from gradviz.analysis.tables import table_of
from gradviz.schema import Phase
from gradviz.store import Run
from tests.comparable_runs import LAYERS, WIDTHS, record_alike

UPDATE = Phase.UPDATE


def consumed(run: Run, update: int, layer: str, statistic: str) -> float:
    """One number, the slow way; NaN where nothing finite was consumed."""
    rows = run.gradients()
    rows = rows[(rows["phase"] == "update") & (rows["update"] == update) & (rows["layer"] == layer)]
    finite = rows[rows["nonfinite"].fillna(-1) == 0]
    return float(finite[statistic].astype(float).mean()) if len(finite) else math.nan


def whole_model(run: Run, update: int, statistic: str) -> float:
    values = [consumed(run, update, layer, statistic) for layer in LAYERS]
    if statistic == "l2":
        return math.sqrt(sum(value**2 for value in values))
    if statistic == "max_abs":
        return max(values)
    return sum(value * width for value, width in zip(values, WIDTHS, strict=True)) / sum(WIDTHS)


@pytest.mark.parametrize("statistic", ["l2", "mean_abs", "max_abs"])
def test_the_whole_model_is_one_gradient(tmp_path: Path, statistic: Statistic) -> None:
    run = gradviz.open_run(record_alike(tmp_path))
    (curve,) = compared_curves([compared_run(run, statistic=statistic)]).curves[0]
    assert curve.update.tolist() == [0, 1, 2, 3]
    expected = [whole_model(run, update, statistic) for update in range(4)]
    assert curve.value.tolist() == pytest.approx(expected, rel=1e-6)


def test_layers_have_a_panel_each_and_a_run_that_lacks_one_an_empty_curve(tmp_path: Path) -> None:
    a = gradviz.open_run(record_alike(tmp_path, "a"))
    b = gradviz.open_run(record_alike(tmp_path, "b", layers=LAYERS[:1], windows=(3, 3)))
    layers = (LAYERS[0], LAYERS[2])
    curves = compared_curves([compared_run(run, layers=layers) for run in (a, b)], layers=layers)
    assert [[len(curve.x) for curve in part] for part in curves.curves] == [[4, 2], [4, 0]]
    slow = [consumed(a, update, LAYERS[2], "l2") for update in range(4)]
    assert curves.curves[1][0].value.tolist() == pytest.approx(slow, rel=1e-6)


def test_what_is_not_finite_is_marked_and_what_is_missing_is_not(tmp_path: Path) -> None:
    factors = {(1, 3, UPDATE): math.inf, (2, 3, UPDATE): math.nan}
    run = gradviz.open_run(record_alike(tmp_path, factors=factors))
    (curve,) = compared_curves([compared_run(run)], layers=LAYERS[:1]).curves[0]
    assert curve.update.tolist() == [0, 1, 3]
    assert curve.broken.tolist() == [False, True, False]
    assert math.isnan(curve.value[1])


def test_a_thinned_curve_keeps_its_extremes(tmp_path: Path) -> None:
    factors = {(17, 2, UPDATE): 100.0, (40, 2, UPDATE): 1e-4, (50, 2, UPDATE): math.inf}
    run = gradviz.open_run(record_alike(tmp_path, windows=(2,) * 80, factors=factors))
    whole, thin = (
        compared_curves([compared_run(run)], layers=LAYERS[:1], points=points).curves[0][0]
        for points in (99, 12)
    )
    assert len(thin.x) < 30 < len(whole.x) == thin.total == 80
    assert {0, 17, 40, 50, 79} <= set(thin.update.tolist())


def test_blocks_are_means_over_sixteen_updates(tmp_path: Path) -> None:
    run = gradviz.open_run(record_alike(tmp_path, windows=(2,) * 40))
    curves = compared_curves([compared_run(run, exact=False)], layers=LAYERS[:1])
    expected = [
        np.mean([consumed(run, update, LAYERS[0], "l2") for update in range(start, min(start + 16, 40))])
        for start in (0, 16, 32)
    ]
    assert curves.each == 16
    assert curves.curves[0][0].value.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_clock_counts_samples_to_the_end_of_each_window(tmp_path: Path) -> None:
    run = gradviz.open_run(record_alike(tmp_path, samples=8, losses={(1, 2): 4.0}))
    clock = run_clock(run.events())
    assert clock.axes == ("update", "samples")
    assert clock.counted["samples"].tolist() == [24, 48, 72, 88]
    assert clock.at("samples", np.array([3, 0, 9])).tolist()[:2] == [88, 24]
    assert math.isnan(clock.at("samples", np.array([9]))[0])
    assert clock.loss.tolist() == pytest.approx([1, 2, 1, 1])


def test_samples_that_are_not_logged_everywhere_are_no_axis() -> None:
    frame = pd.DataFrame({"event": [0, 1], "update": [0, 0], "micro_step": [1, 2], "samples": [8.0, np.nan]})
    frame["phase"] = pd.Categorical(["micro_step"] * 2, categories=["reset", "micro_step", "edit", "update"])
    assert run_clock(frame).axes == ("update",)
    ranks = run_clock(frame.assign(samples=4.0, tokens=5.0, ranks=3))
    assert ranks.counted["samples"].tolist() == [24]
    assert run_clock(frame.iloc[:0]).axes == ("update",)


def test_losses_on_the_common_axis(tmp_path: Path) -> None:
    runs = [
        gradviz.open_run(record_alike(tmp_path, name, samples=size)) for name, size in (("a", 8), ("b", 16))
    ]
    clocks = [run_clock(run.events()) for run in runs]
    a, b = compared_losses(["a", "b"], clocks, axis="samples", updates=(0, 1)).curves[0]
    assert (a.x.tolist(), b.x.tolist()) == ([24, 48], [48, 96])


@pytest.mark.parametrize("axis", ["update", "samples"])
@pytest.mark.parametrize("columns", [400, 2])
def test_every_cell_of_the_map(tmp_path: Path, axis: Axis, columns: int) -> None:
    windows = (3, 3, 3, 2, 3, 3, 3, 3, 3)
    a = gradviz.open_run(record_alike(tmp_path, "a", windows=windows, samples=8))
    factors = {(2, 3, UPDATE): 4.0, (1, 3, UPDATE): math.inf}
    b = gradviz.open_run(record_alike(tmp_path, "b", windows=windows[:6], samples=16, factors=factors))
    runs = [compared_run(run) for run in (a, b)]
    found = difference_map(*runs, axis=axis, columns=columns)
    assert found.layers == LAYERS
    assert found.first.shape == (3, len(found.start))
    for place, (start, end) in enumerate(zip(found.start, found.end, strict=True)):
        for run, read, cells in ((a, runs[0], found.first), (b, runs[1], found.second)):
            updates = [
                update
                for update in read.clock.update
                if (start <= update <= end if axis == "update" else start < at(read, update) <= end)
            ]
            for row, layer in enumerate(LAYERS):
                values = [value for u in updates if not math.isnan(value := consumed(run, u, layer, "l2"))]
                expected = np.mean(values) if values else math.nan
                assert cells[row, place] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert found.broken.sum() == 1
    assert np.isnan(found.log_ratio[found.broken]).all()


def at(read: object, update: int) -> float:
    return float(read.clock.counted["samples"][list(read.clock.update).index(update)])  # type: ignore[attr-defined]


def test_the_ratio_is_in_doublings_and_knows_zero(tmp_path: Path) -> None:
    a = record_alike(tmp_path, "a", factors={(2, 3, UPDATE): 0.0, (3, 2, UPDATE): 0.0})
    b = record_alike(tmp_path, "b", factors={(1, 3, UPDATE): 4.0, (3, 2, UPDATE): 0.0})
    found = difference_map(*(compared_run(gradviz.open_run(path)) for path in (a, b)))
    assert found.log_ratio[0].tolist() == pytest.approx([0, 2, math.inf, 0])
    assert (found.log_ratio[1:] == 0).all()


def test_of_many_layers_those_that_differ_most(tmp_path: Path) -> None:
    names = [f"block.{place}" for place in range(20)]
    a = record_alike(tmp_path, "a", layers=names)
    b = record_alike(tmp_path, "b", layers=[*names[1:], names[0]], factors={(1, 3, UPDATE): 9.0})
    found = difference_map(*(compared_run(gradviz.open_run(path)) for path in (a, b)), layers=3)
    assert (len(found.layers), found.layers_total) == (3, 20)
    assert names[0] in found.layers  # another place, other numbers
    assert list(found.layers) == sorted(found.layers, key=names.index)


def test_runs_that_never_meet(tmp_path: Path) -> None:
    a = gradviz.open_run(record_alike(tmp_path, "a", missing={0, 1}))
    b = gradviz.open_run(record_alike(tmp_path, "b", windows=(3, 3)))
    assert difference_map(compared_run(a), compared_run(b)).first.shape == (3, 0)
    nothing = gradviz.open_run(record_alike(tmp_path, "c", windows=()))
    assert difference_map(compared_run(a), compared_run(nothing)).first.shape == (3, 0)


def test_rows_to_read_follow_the_choice(tmp_path: Path) -> None:
    run = gradviz.open_run(record_alike(tmp_path, windows=(3,) * 10))
    assert rows_to_read(run) == 3 * 50
    assert rows_to_read(run, layers=1, updates=(0, 4)) == 25
    assert rows_to_read(gradviz.open_run(record_alike(tmp_path, "none", windows=()))) == 0


def test_facts_that_differ(tmp_path: Path) -> None:
    a = gradviz.open_run(record_alike(tmp_path, "a", model_class="Net"))
    b = gradviz.open_run(record_alike(tmp_path, "b", model_class="Other", layers=LAYERS[:2], windows=(3, 3)))
    facts = compared_facts([a, b])
    told = {(fact.kind, fact.name): fact.values for fact in facts.differing().facts}
    assert told["model", "model_class"] == ("Net", "Other")
    assert told["run", "updates"] == ("4", "2")
    assert told["layer", "out.weight"] == ("4 float32", None)
    assert ("recording", "accumulation_steps") not in told
    assert ("recording", "accumulation_steps") in {(fact.kind, fact.name) for fact in facts.facts}


def test_facts_of_optimizers_by_their_settings() -> None:
    samples = gradviz.store.sample_folder()  # type: ignore[attr-defined]
    names = ("never-resets", "healthy-digits-n4-short-last-window", "healthy-transformer-n8")
    facts = compared_facts([gradviz.open_run(samples / name) for name in names])
    told = {fact.name: fact.values for fact in facts.facts if fact.kind == "optimizer"}
    assert told["class"] == ("SGD", "SGD", "AdamW")
    assert told["lr"] == ("0.002", "0.1", "0.002")
    assert told["betas"] == (None, None, "[0.9, 0.999]")


def test_every_record_is_a_table(tmp_path: Path) -> None:
    a, b = (gradviz.open_run(record_alike(tmp_path, name, samples=8)) for name in "ab")
    runs = [compared_run(run) for run in (a, b)]
    curves = table_of(compared_curves(runs, axis="samples"))
    assert curves["samples"].tolist() == [24, 48, 72, 88] * 2
    cells = table_of(difference_map(*runs))
    assert (len(cells), set(cells["log2_ratio"])) == (12, {0.0})
    assert table_of(gradviz.analysis.comparison(a, b))["update"].tolist() == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert len(table_of(compared_facts([a, b])).columns) == 5
