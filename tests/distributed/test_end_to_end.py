"""DDP and FSDP2 on two processes that torchrun starts: together they show what one process shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradviz.schema import RunState
from gradviz.store import Run, list_runs, open_run
from tests.distributed import trainings
from tests.distributed.trainings import LAST_EVENT, LENGTH, WAYS, WINDOWS

VALUES = ("mean_abs", "l2", "max_abs", "zeros", "nonfinite")
ROOT = Path(__file__).parents[2]


def launch(folder: Path, *ways: str, restarts: int = 0) -> None:
    """Run the trainings on two processes of this machine."""
    options = ["--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}", "--monitor-interval=0.1"]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *options,
        trainings.__file__,
        str(folder),
        *ways,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def opened(folder: Path) -> dict[str, Run]:
    return {run.name: open_run(run.path) for run in list_runs(folder)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("ranks")
    trainings.train("alone", str(folder))
    launch(folder, *WAYS)
    return opened(folder)


def rows(run: Run, *phases: str, last: bool = False) -> pd.DataFrame:
    """Rows of these phases; with `last` those of the last micro-step of each window."""
    frame = run.gradients(phases=phases)
    return frame[frame["micro_step"] == LENGTH] if last else frame


def assert_equal(ranks: pd.DataFrame, alone: pd.DataFrame, names: tuple[str, ...] = VALUES) -> None:
    keys = ["layer", "update", "micro_step", "phase"]
    assert ranks[keys].astype(str).to_numpy().tolist() == alone[keys].astype(str).to_numpy().tolist()
    for name in names:
        left, right = (frame[name].astype(float).to_numpy() for frame in (ranks, alone))
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_consumed_is_that_of_one_process(runs: dict[str, Run], way: str) -> None:
    """And so is what is left after it, and the step that the weights took."""
    assert_equal(rows(runs[way], "update"), rows(runs["alone"], "update"), (*VALUES, "weight_l2", "step_l2"))
    assert_equal(rows(runs[way], "reset"), rows(runs["alone"], "reset"))
    assert_equal(rows(runs[way], "micro_step", last=True), rows(runs["alone"], "micro_step", last=True))


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_synchronised_every_micro_step_the_whole_sawtooth_is_there(runs: dict[str, Run], way: str) -> None:
    assert_equal(rows(runs[way], "micro_step"), rows(runs["alone"], "micro_step"))


@pytest.mark.parametrize("way", WAYS)
def test_both_ranks_recorded_everything(runs: dict[str, Run], way: str) -> None:
    run = runs[way]
    assert (run.ranks, run.missing_ranks, run.state) == ([0, 1], [], RunState.FINISHED)
    assert (run.gaps, run.damaged, run.dropped) == ([], [], 0)
    assert len(run.gradients(phases="update")) == 6 * WINDOWS
    assert run.events()["ranks"].tolist() == [2] * len(run.events())


@pytest.mark.parametrize("way", ["ddp-no-sync", "ddp-no-sync-view"])
def test_inside_no_sync_each_rank_has_gradients_of_its_own(runs: dict[str, Run], way: str) -> None:
    """Against plain autograd on the examples of each rank."""
    inputs, targets = trainings.batches()[0]
    own = []
    for rank in range(2):
        model = trainings.model()
        loss = ((model(inputs[rank::2]) - targets[rank::2]) ** 2).mean() / LENGTH
        loss.backward()
        own.append(
            {name: p.grad.double().numpy() for name, p in model.named_parameters() if p.grad is not None}
        )
    first = runs[way].gradients(phases="micro_step", updates=(0, 0))
    first = first[first["micro_step"] == 1].set_index("layer")
    for name in own[0]:
        g = np.array([own[0][name], own[1][name]])
        assert first.loc[name, "l2"] == pytest.approx(np.sqrt((g**2).sum() / 2), rel=1e-6)
        assert first.loc[name, "mean_abs"] == pytest.approx(np.abs(g).mean(), rel=1e-6)
        assert first.loc[name, "max_abs"] == pytest.approx(np.abs(g).max(), rel=1e-6)


def test_what_fsdp_hides_until_the_end_is_missing_and_said(runs: dict[str, Run]) -> None:
    """Until it is synchronised the gradient lies in buffers of FSDP: null, and never zero."""
    run = runs["fsdp-at-the-end"]
    frame = run.gradients(phases="micro_step")
    before = frame[frame["micro_step"] < LENGTH]
    assert before[["mean_abs", "l2", "max_abs", "nonfinite", "micro_l2"]].isna().all().all()
    assert set(run.metadata["not_visible"]) == {"fsdp-micro-gradient", "fsdp-accumulated-gradient"}
    assert runs["fsdp"].metadata["not_visible"] == ["fsdp-micro-gradient"]
    for way in ("fsdp", "fsdp-at-the-end"):
        assert runs[way].gradients()["micro_l2"].isna().all()
    assert runs["ddp"].metadata["not_visible"] == ["ddp-average-of-micro-gradients"]


def test_each_rank_holds_a_shard(runs: dict[str, Run]) -> None:
    run = runs["fsdp"]
    update = [run.gradients(phases="update", rank=rank)["l2"].astype(float) for rank in (None, 0, 1)]
    np.testing.assert_allclose(np.sqrt(update[1] ** 2 + update[2] ** 2), update[0], rtol=1e-6)
    assert (update[1] < update[0]).any()


@pytest.mark.parametrize("way", ["restarted", pytest.param("ddp-restarted", marks=pytest.mark.soak)])
def test_a_restart_adds_a_segment(tmp_path: Path, way: str) -> None:
    """Rank 1 is killed in the second window; the launcher starts both anew, each for itself or as a group."""
    launch(tmp_path, way, restarts=1)
    (run,) = opened(tmp_path).values()
    assert run.segments.drop(columns="started").to_numpy().tolist() == [
        [0, 0, 0, 0], [0, LAST_EVENT + 1, 2, 1], [1, 0, 0, 0], [1, LAST_EVENT + 1, 2, 1],
    ]  # fmt: skip
    assert (run.ranks, run.gaps, run.damaged, run.state) == ([0, 1], [], [], RunState.FINISHED)
    alone = tmp_path / "alone"
    trainings.train("alone", str(alone))
    whole = opened(alone)["alone"].gradients(phases="update")
    after = run.gradients(phases="update", updates=(2, 2 + WINDOWS))
    assert (after["update"] - 2).tolist() == whole["update"].tolist()
    assert_equal(after.assign(update=after["update"] - 2), whole)
