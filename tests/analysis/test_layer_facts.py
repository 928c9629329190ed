"""Everything known of a layer, two moments compared, and the size of updates: against slow loops in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gradviz
from gradviz.analysis import flow_change, layer_facts, layer_flow, only_weights, update_ratio
from gradviz.analysis.tables import table_of
from gradviz.analysis.update_ratio import QUANTILES
from gradviz.store import Run, sample_folder


@pytest.fixture(scope="module")
def transformer() -> Run:
    return gradviz.open_run(sample_folder() / "healthy-transformer-n8")


def test_every_fact_is_the_row_of_its_layer(transformer: Run) -> None:
    rows = transformer.gradients(updates=(5, 5))
    event = int(rows.loc[rows["micro_step"] == 3, "event"].iloc[0])
    facts = layer_facts(rows, event=event, layers=transformer.layers)
    known = transformer.layers.set_index("layer")
    for place, layer in enumerate(facts.layers):
        here = rows[(rows["layer"] == layer) & (rows["event"] == event)].iloc[0]
        step = rows[(rows["layer"] == layer) & (rows["phase"] == "update")].iloc[0]
        assert facts.numel[place] == np.prod(known.loc[layer, "shape"])
        assert facts.shape[place] == " × ".join(str(size) for size in known.loc[layer, "shape"])
        assert facts.module_type[place] == known.loc[layer, "module_type"]
        for name in ("mean_abs", "l2", "max_abs", "micro_mean_abs", "micro_l2", "micro_max_abs", "cosine"):
            np.testing.assert_array_equal(facts.values[name][place], here[name])
        for name in ("zeros", "step_l2", "weight_l2", "unchanged"):
            np.testing.assert_array_equal(facts.values[name][place], step[name])
        ratio = float(step["step_l2"]) / float(step["weight_l2"])
        assert facts.step_ratio[place] == pytest.approx(ratio, rel=1e-12)


def test_facts_of_an_event_that_is_not_there_are_unknown(transformer: Run) -> None:
    facts = layer_facts(transformer.gradients(updates=(5, 5)), event=-1, layers=transformer.layers)
    assert all(np.isnan(values).all() for values in facts.values.values())
    assert np.isnan(facts.step_ratio).all()


def test_only_weights_leaves_out_biases_and_embeddings(transformer: Run) -> None:
    names = list(only_weights(transformer.layers)["layer"])
    assert "token.weight" not in names
    assert not any(name.endswith(("bias", "norm1.weight")) for name in names)
    assert "blocks.layers.0.linear1.weight" in names


def test_a_model_without_weights_keeps_all(transformer: Run) -> None:
    biases = transformer.layers[[name.endswith("bias") for name in transformer.layers["layer"]]]
    assert list(only_weights(biases)["layer"]) == list(biases["layer"])


def test_a_change_is_the_ratio_of_what_is_there(transformer: Run) -> None:
    rows = transformer.gradients(updates=(5, 5))
    first, last = (int(rows.loc[rows["micro_step"] == k, "event"].iloc[0]) for k in (1, 8))
    before, after = (
        layer_flow(rows, event=event, statistic="l2", layers=transformer.layers) for event in (first, last)
    )
    change = flow_change(before, after)
    for place, layer in enumerate(before.layers):
        of_layer = rows[rows["layer"] == layer].set_index("event")["l2"].astype(np.float64)
        assert change.ratio[place] == pytest.approx(of_layer[last] / of_layer[first], rel=1e-12)
    assert change.comparable.all()
    table = table_of(change)
    assert list(table["ratio"]) == list(change.ratio)
    assert (int(table["before_micro_step"].iloc[0]), int(table["after_micro_step"].iloc[0])) == (1, 8)


def test_zero_missing_and_nan_have_no_ratio_that_could_mislead(transformer: Run) -> None:
    rows = transformer.gradients(updates=(5, 5))
    event = int(rows.loc[rows["micro_step"] == 1, "event"].iloc[0])
    flow = layer_flow(rows, event=event, layers=transformer.layers)
    values, nonfinite, recorded = flow.accumulated.copy(), flow.nonfinite.copy(), flow.recorded.copy()
    values[0] = 0.0
    nonfinite[1], nonfinite[2], recorded[3] = 7, -1, False
    odd = replace(flow, accumulated=values, nonfinite=nonfinite, recorded=recorded)
    assert flow_change(flow, odd).ratio[:4].tolist()[0] == 0.0
    assert flow_change(odd, flow).ratio[0] == np.inf
    assert np.isnan(flow_change(odd, odd).ratio[:4]).all()
    assert flow_change(flow, odd).comparable.tolist() == [False] * 4 + [True] * (len(values) - 4)


def slow_ratio(run: Run, layer: str, first: int, last: int) -> float:
    rows = run.gradients(layers=layer, updates=(first, last), phases="update")
    found = [
        float(row["step_l2"]) / float(row["weight_l2"])
        for _, row in rows.iterrows()
        if np.isfinite(row["step_l2"]) and 0 < row["weight_l2"] < np.inf
    ]
    return sum(found) / len(found) if found else np.nan


@pytest.mark.parametrize("points", [400, 7])
@pytest.mark.parametrize("name", ["diverges-to-nan", "mixed-precision-clipped"])
def test_update_ratio_is_that_of_a_slow_loop(name: str, points: int) -> None:
    run = gradviz.open_run(sample_folder() / name)
    found = update_ratio(run, points=points)
    first, last = run.updates or (0, 0)
    assert found.each == -(-(last - first + 1) // points)
    assert len(found.update) <= points
    for point, update in enumerate(found.update):
        slow = [slow_ratio(run, layer, update, update + found.each - 1) for layer in found.layers]
        np.testing.assert_allclose(found.ratio[:, point], slow, rtol=1e-6)
        band = [value for value, weight in zip(slow, found.weights, strict=True) if weight and value == value]
        if not band:
            assert np.isnan(found.band[:, point]).all()
            assert (found.lowest[point], found.highest[point]) == (-1, -1)
            continue
        np.testing.assert_allclose(found.band[:, point], np.quantile(band, QUANTILES), rtol=1e-6)
        assert slow[found.lowest[point]] == min(band)
        assert slow[found.highest[point]] == max(band)


def test_a_stretch_of_updates(transformer: Run) -> None:
    whole, part = update_ratio(transformer), update_ratio(transformer, updates=(20, 29))
    assert part.update.tolist() == list(range(20, 30))
    np.testing.assert_array_equal(part.ratio, whole.ratio[:, 20:30])


def test_the_table_has_a_row_a_point_and_layer(transformer: Run) -> None:
    found = update_ratio(transformer, points=10)
    table = table_of(found)
    row = table[(table["layer"] == found.layers[3]) & (table["update"] == found.update[2])].iloc[0]
    assert row["ratio"] == found.ratio[3, 2]
    assert row["q50"] == found.band[2, 2]
    assert len(table) == found.ratio.size
