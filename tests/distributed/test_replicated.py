"""Replicated layers: the value on which the ranks agree, and what stands where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gradviz.schema import Phase
from gradviz.store import open_run
from tests.distributed.ranked_runs import Training, start


def record(parent: Path, trainings: list[Training], scales: list[float] | None = None) -> Path:
    """A run in which each rank records a training of its own."""
    for rank, training in enumerate(trainings):
        writer = start(parent, training.layers, rank, len(trainings))
        for event in range(training.events):
            writer.put(training.record(event, {}, scale=1.0 if scales is None else scales[rank]))
        assert writer.close() == 0
    return writer.path


def test_ranks_that_agree_are_one(tmp_path: Path) -> None:
    run = open_run(record(tmp_path, [Training.random(4)] * 3))
    pd.testing.assert_frame_equal(run.gradients(), run.gradients(rank=0))
    pd.testing.assert_frame_equal(run.events().drop(columns="ranks").assign(loss_elements=0),
                                  run.events(rank=0).assign(loss_elements=0))  # fmt: skip
    micro = run.events()["phase"] == "micro_step"
    assert run.events().loc[micro, "loss_elements"].tolist() == [30] * 8
    assert run.overview()["count"].tolist() == run.overview(rank=0)["count"].tolist()
    some = ["event", "update", "micro_step", "phase", "loss_elements", "ranks"]
    pd.testing.assert_frame_equal(run.events(columns=["loss_elements"]), run.events()[some])


def test_a_last_bit_is_no_disagreement(tmp_path: Path) -> None:
    training = Training.random(2)
    run = open_run(record(tmp_path, [training, training], [1.0, 1.0 + 4e-6]))
    merged, one = run.gradients(), run.gradients(rank=0)
    np.testing.assert_allclose(merged["mean_abs"], one["mean_abs"], rtol=1e-5)
    assert merged["cosine"].notna().sum() == one["cosine"].notna().sum() > 0


def test_ranks_that_differ_are_averaged_each_in_its_own_way(tmp_path: Path) -> None:
    """Inside `no_sync` each rank has gradients of its own micro-batches."""
    trainings = [Training.random(3, seed=seed) for seed in range(3)]
    rows = open_run(record(tmp_path, trainings)).gradients(layers="b", phases=Phase.MICRO_STEP)
    g = np.array([[one.accumulated[event][1] for event in (1, 2, 5, 6, 9, 10)] for one in trainings])
    np.testing.assert_allclose(rows["mean_abs"], np.abs(g).mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(rows["l2"], np.sqrt((g**2).sum(axis=2).mean(axis=0)), rtol=1e-6)
    np.testing.assert_allclose(rows["max_abs"], np.abs(g).max(axis=(0, 2)), rtol=1e-6)
    assert rows["cosine"].isna().all()
    assert (rows["nonfinite"] == 0).all()


def test_a_gradient_that_only_some_ranks_have_is_theirs(tmp_path: Path) -> None:
    training = Training.random(1)
    for rank in range(2):
        writer = start(tmp_path, training.layers, rank, 2)
        for event in range(training.events):
            one = training.record(event, {})
            if rank:
                one.sums[0, 3] = -1  # None
            writer.put(one)
        writer.close()
    run = open_run(writer.path)
    assert run.gradients(rank=1, layers="a")["nonfinite"].isna().all()
    pd.testing.assert_frame_equal(
        run.gradients(layers="a").drop(columns="cosine"),
        run.gradients(rank=0, layers="a").drop(columns="cosine"),
    )


def test_not_finite_on_one_rank_is_not_finite(tmp_path: Path) -> None:
    whole, broken = Training.random(1), Training.random(1)
    broken.accumulated[3][0] = np.where(np.arange(12) < 2, np.nan, 1.0)
    row = open_run(record(tmp_path, [whole, broken])).gradients(layers="a", phases="update").iloc[0]
    assert row["nonfinite"] == 2
    assert np.isnan(row["mean_abs"])


def test_a_moment_that_a_rank_lacks_is_that_of_the_others(tmp_path: Path) -> None:
    training = Training.random(2)
    for rank in range(2):
        writer = start(tmp_path, training.layers, rank, 2)
        for event in range(training.events):
            if (rank, event) != (1, 5):
                writer.put(training.record(event, {}))
        writer.close()
    run = open_run(writer.path)
    pd.testing.assert_frame_equal(run.gradients(), run.gradients(rank=0))
    assert run.gaps == [(5, 5)]
    assert run.events()["ranks"].tolist() == [2] * 5 + [1] + [2] * 2
