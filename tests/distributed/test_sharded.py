"""Sharded layers: what the ranks hold adds up to what one process would have seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradviz.errors import QueryError
from gradviz.schema import Phase, RunState
from gradviz.store import list_runs, open_run
from tests.distributed.ranked_runs import Training, cuts, elements, record_sharded, start

ADDED = (
    "mean_abs", "l2", "max_abs", "zeros", "nonfinite", "micro_mean_abs", "micro_l2", "micro_max_abs",
    "micro_nonfinite", "weight_l2", "step_l2", "unchanged",
)  # fmt: skip


def alone(parent: Path, training: Training) -> pd.DataFrame:
    """The rows of the same training in one process."""
    writer = start(parent / "alone", training.layers, 0, 1, key="")
    for event in range(training.events):
        writer.put(training.record(event, {}))
    assert writer.close() == 0
    return open_run(writer.path).gradients()


def assert_same(merged: pd.DataFrame, whole: pd.DataFrame) -> None:
    for name in ("event", "update", "micro_step"):
        np.testing.assert_array_equal(merged[name], whole[name])
    for name in ("layer", "phase"):
        assert merged[name].tolist() == whole[name].tolist()
    for name in ADDED:
        pd.testing.assert_series_equal(merged[name].isna(), whole[name].isna())
        np.testing.assert_allclose(
            merged[name].astype(float), whole[name].astype(float), rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("world_size", [2, 3, 5, 8])
def test_shards_add_up_to_the_whole(tmp_path: Path, world_size: int) -> None:
    """Shards are uneven, and with five ranks some are empty."""
    training = Training.random(6)
    run = open_run(record_sharded(tmp_path, training, world_size))
    whole = alone(tmp_path, training)
    merged = run.gradients()
    assert_same(merged, whole)
    assert merged["cosine"].isna().all()
    assert (run.ranks, run.missing_ranks) == (list(range(world_size)), [])
    assert (run.gaps, run.damaged, run.last_event, run.updates) == ([], [], 23, (0, 5))


def test_the_merged_values_are_those_of_the_gradient_itself(tmp_path: Path) -> None:
    """Against the gradients in float64, not against another path through the store."""
    training = Training.random(3)
    merged = open_run(record_sharded(tmp_path, training, 2)).gradients(phases="update")
    for place, layer in enumerate(training.layers):
        rows = merged[merged["layer"] == layer.name]
        g = np.array([training.accumulated[event][place] for event in (3, 7, 11)])
        np.testing.assert_allclose(rows["mean_abs"], np.abs(g).mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(rows["l2"], np.linalg.norm(g, axis=1), rtol=1e-6)
        np.testing.assert_allclose(rows["max_abs"], np.abs(g).max(axis=1), rtol=1e-6)
        np.testing.assert_allclose(rows["zeros"], (g == 0).mean(axis=1), rtol=1e-6)


def test_one_rank_can_be_read(tmp_path: Path) -> None:
    training = Training.random(2)
    run = open_run(record_sharded(tmp_path, training, 2))
    rows = run.gradients(rank=1, layers="a", phases="update")
    held = [training.accumulated[event][0][6:] for event in (3, 7)]
    np.testing.assert_allclose(rows["l2"], [np.linalg.norm(g) for g in held], rtol=1e-6)
    pd.testing.assert_frame_equal(rows, open_run(run.path, rank=1).gradients(layers="a", phases="update"))
    assert "ranks" not in run.events(rank=0)
    assert run.events()["ranks"].tolist() == [2] * 8
    assert len(run.overview(rank=0)) == 4
    with pytest.raises(QueryError, match=r"No rank 7 in this run. It has: 0, 1"):
        run.gradients(rank=7)


def test_a_missing_shard_is_a_gap_and_never_half_a_sum(tmp_path: Path) -> None:
    training = Training.random(3)
    run = open_run(record_sharded(tmp_path, training, 2, skip=[(1, 6), (1, 7), (0, 9)]))
    whole = alone(tmp_path, training)
    lost = whole["event"].isin([6, 7]) & (whole["layer"] != "c") | (whole["event"] == 9)
    assert_same(run.gradients(), whole[~lost].reset_index())  # rank 1 holds nothing of the layer c
    assert run.gaps == [(6, 7), (9, 9)]
    events = run.events()
    assert events.loc[events["ranks"] == 1, "event"].tolist() == [6, 7, 9]
    assert events.loc[events["event"].isin([6, 9]), "loss_elements"].isna().all()


def test_a_rank_that_never_recorded_leaves_nothing_to_show(tmp_path: Path) -> None:
    training = Training.random(2)
    held = cuts(training.layers, 2)
    writer = start(tmp_path, training.layers, 0, 2, shards=elements(held[0]))
    for event in range(training.events):
        writer.put(training.record(event, held[0]))
    writer.close()
    run = open_run(writer.path)
    assert (run.ranks, run.missing_ranks) == ([0], [1])
    assert list_runs(tmp_path)[0].ranks == (0,)


def test_a_layer_that_is_not_sharded_stands_beside_those_that_are(tmp_path: Path) -> None:
    training = Training.random(2)
    held = [{0: cut[0]} for cut in cuts(training.layers, 2)]
    for rank, cut in enumerate(held):
        writer = start(tmp_path, training.layers, rank, 2, shards=elements(cut))
        for event in range(training.events):
            writer.put(training.record(event, cut))
        writer.close()
    merged, whole = open_run(writer.path).gradients(), alone(tmp_path, training)
    assert_same(merged, whole)
    replicated = merged["layer"] != "a"
    pd.testing.assert_series_equal(merged["cosine"][replicated], whole["cosine"][replicated])
    assert merged["cosine"][~replicated].isna().all()


def test_shards_that_are_replicated_too_are_counted_once(tmp_path: Path) -> None:
    """Hybrid sharding: two groups of two ranks, each of which holds the whole gradient."""
    training = Training.random(2)
    held = cuts(training.layers, 2)
    for rank in range(4):
        writer = start(tmp_path, training.layers, rank, 4, shards=elements(held[rank % 2]))
        for event in range(training.events):
            writer.put(training.record(event, held[rank % 2]))
        writer.close()
    assert_same(open_run(writer.path).gradients(), alone(tmp_path, training))


def test_the_overview_rolls_up_the_whole_gradient(tmp_path: Path) -> None:
    training = Training.random(40)
    run = open_run(record_sharded(tmp_path, training, 2))
    rows = run.gradients(phases="update")
    rows["block"] = rows["update"] // 16
    for name in ("mean_abs", "l2", "max_abs"):
        by_block = rows.groupby(["layer", "block"], observed=True)[name]
        overview = run.overview()
        np.testing.assert_allclose(overview[f"{name}_sum"], by_block.sum(), rtol=1e-6)
        np.testing.assert_array_equal(overview[f"{name}_max"], by_block.max())
    assert overview["count"].tolist() == [16, 16, 8] * 4
    pd.testing.assert_frame_equal(run.overview(), overview)


def test_states_of_the_ranks_are_one_state(tmp_path: Path) -> None:
    layers = Training.random(0).layers
    first, second = (start(tmp_path, layers, rank, 2) for rank in range(2))
    run = open_run(first.path)
    assert first.path == second.path
    first.close(RunState.CRASHED, reason="ValueError")
    assert (run.state, list_runs(tmp_path)[0].state) == (RunState.LIVE, RunState.LIVE)
    second.close()
    assert (run.state, run.reason) == (RunState.CRASHED, "ValueError")
    assert run.of_rank(1).state is RunState.FINISHED
    listed = list_runs(tmp_path)[0]
    assert (listed.state, listed.reason, listed.ranks) == (RunState.CRASHED, "ValueError", (0, 1))


def test_phases_and_columns_are_chosen_as_of_one_rank(tmp_path: Path) -> None:
    training = Training.random(4)
    run = open_run(record_sharded(tmp_path, training, 2))
    rows = run.gradients(
        layers="b", updates=(1, 2), phases=Phase.MICRO_STEP, columns=["micro_step", "micro_l2"]
    )
    assert rows.columns.tolist() == ["micro_step", "micro_l2"]
    expected = [np.linalg.norm(training.micro[event][1]) for event in (5, 6, 9, 10)]
    np.testing.assert_allclose(rows["micro_l2"], expected, rtol=1e-6)
