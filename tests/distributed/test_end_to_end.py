"""DDP, FSDP and tensor parallelism on two processes that torchrun starts: together they show what one process shows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradviz.analysis import window_ledger
from gradviz.diagnostics import diagnose
from gradviz.schema import BIN_NAMES, RunState
from gradviz.store import Run, list_runs, open_run
from tests.distributed import trainings
from tests.distributed.trainings import (
    DDP,
    FLAT,
    LAST_EVENT,
    LENGTH,
    PIPELINE,
    TENSOR_PARALLEL,
    WAYS,
    WINDOWS,
)
from tests.forking import Forked

MICRO = ("micro_mean_abs", "micro_l2", "micro_max_abs", "micro_nonfinite")
VALUES = ("mean_abs", "l2", "max_abs", "zeros", "nonfinite")
ROOT = Path(__file__).parents[2]
PATHS = (str(ROOT), str(ROOT / "tests" / "integrations"))


def launch(folder: Path, *ways: str, restarts: int = 0) -> None:
    """Run the trainings on two processes of this machine, as `torchrun` does."""
    options = ["--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}", "--monitor-interval=0.1"]
    torchrun = "import sys; from torch.distributed.run import main; main(sys.argv[1:])"
    launcher = Forked(
        torchrun, *options, trainings.__file__, folder, *ways, PYTHONPATH=os.pathsep.join(PATHS)
    )
    _, errors = launcher.communicate()
    assert launcher.returncode == 0, errors[-3000:]


def opened(folder: Path) -> dict[str, Run]:
    return {run.name: open_run(run.path) for run in list_runs(folder)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("ranks")
    for way in ("alone", "alone-large"):
        trainings.train(way, str(folder))
    launch(folder, *WAYS, *FLAT, PIPELINE, "ddp-large")
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


@pytest.mark.parametrize("way", WAYS)
def test_counts_by_exponent_are_those_of_one_process(runs: dict[str, Run], way: str) -> None:
    """Of shards they are added up, of replicas they are counted once."""
    pd.testing.assert_frame_equal(runs[way].distributions(), runs["alone"].distributions())
    assert runs[way].distributions()[list(BIN_NAMES)].to_numpy().sum() == WINDOWS * 57


@pytest.mark.parametrize("way", DDP)
def test_the_loss_is_the_mean_of_the_ranks(runs: dict[str, Run], way: str) -> None:
    ours, theirs = (run.events().set_index("event")["loss"] for run in (runs[way], runs["alone"]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.notna().sum() == LENGTH * WINDOWS


@pytest.mark.parametrize("way", WAYS)
def test_what_went_into_a_window_weighs_one(runs: dict[str, Run], way: str) -> None:
    """Each rank sees a share of the examples, and each with a larger weight."""
    ledger = window_ledger(runs[way].gradients(), runs[way].events()).frame
    assert ledger["weight"].tolist() == pytest.approx([1.0] * WINDOWS)


@pytest.mark.parametrize("way", ["ddp", "ddp-view", "ddp-given", "fsdp", "fsdp1", TENSOR_PARALLEL])
def test_synchronised_every_micro_step_the_whole_sawtooth_is_there(runs: dict[str, Run], way: str) -> None:
    assert_equal(rows(runs[way], "micro_step"), rows(runs["alone"], "micro_step"))


def test_a_large_gradient_is_looked_at_once_it_is_the_average(runs: dict[str, Run]) -> None:
    """What was measured as it passed is a rank's own."""
    assert_equal(rows(runs["ddp-large"], "micro_step"), rows(runs["alone-large"], "micro_step"))
    assert_equal(rows(runs["ddp-large"], "update"), rows(runs["alone-large"], "update"))


@pytest.mark.parametrize("way", ["ddp", "ddp-view", "ddp-given"])
def test_no_cosine_of_a_share_with_the_average(runs: dict[str, Run], way: str) -> None:
    """It would not be that of g_k with what g_k is added to."""
    assert runs[way].gradients(phases="micro_step", rank=0)["cosine"].isna().all()
    assert rows(runs["alone"], "micro_step")["cosine"].notna().any()


@pytest.mark.parametrize("way", WAYS)
def test_both_ranks_recorded_everything(runs: dict[str, Run], way: str) -> None:
    run = runs[way]
    assert (run.ranks, run.missing_ranks, run.state) == ([0, 1], [], RunState.FINISHED)
    assert (run.gaps, run.damaged, run.dropped) == ([], [], 0)
    assert len(run.gradients(phases="update")) == 6 * WINDOWS
    assert run.events()["ranks"].tolist() == [2] * len(run.events())


@pytest.mark.parametrize("way", ["ddp-no-sync", "ddp-no-sync-view", "ddp-no-sync-given"])
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


@pytest.mark.parametrize("way", ["fsdp-at-the-end", "fsdp1-no-sync", "fsdp1-flat-no-sync"])
def test_what_fsdp_hides_until_the_end_is_missing_and_said(runs: dict[str, Run], way: str) -> None:
    """Until it is synchronised the gradient lies in buffers of FSDP, or is a rank's own: null, and never zero."""
    frame = runs[way].gradients(phases="micro_step")
    before = frame[frame["micro_step"] < LENGTH]
    assert len(before) == (LENGTH - 1) * WINDOWS * len(runs[way].layers)
    assert before[["mean_abs", "l2", "max_abs", "nonfinite"]].isna().all().all()
    assert set(runs[way].metadata["not_visible"]) == {"fsdp-micro-gradient", "fsdp-accumulated-gradient"}


def test_what_is_never_visible_is_missing_and_said(runs: dict[str, Run]) -> None:
    for way in (name for name in runs if name.startswith("fsdp")):
        assert runs[way].gradients()["micro_l2"].isna().all()
    for way in ("fsdp", "fsdp1", "fsdp1-flat"):
        assert runs[way].metadata["not_visible"] == ["fsdp-micro-gradient"]
    for way in DDP:
        assert runs[way].metadata["not_visible"] == ["ddp-average-of-micro-gradients"]


def test_tensor_parallelism_shows_each_micro_gradient(runs: dict[str, Run]) -> None:
    """All ranks have the same micro-batch, and each holds its part of what it adds."""
    run, alone = runs[TENSOR_PARALLEL], runs["alone"]
    assert_equal(rows(run, "micro_step"), rows(alone, "micro_step"), MICRO)
    assert "not_visible" not in run.metadata
    assert run.layers["layer"].tolist() == alone.layers["layer"].tolist()


@pytest.mark.parametrize("stage", [0, 1])
def test_each_stage_of_a_pipeline_is_a_run_with_the_numbers_of_its_layers(
    runs: dict[str, Run], stage: int
) -> None:
    """A micro-batch of the schedule is a micro-step; the loss is known where the last stage is."""
    run, alone = runs[f"{PIPELINE}-{stage}"], runs["alone"]
    assert (run.ranks, run.gaps, run.state) == ([stage], [], RunState.FINISHED)
    layers = run.layers["layer"].tolist()
    assert layers == [name for name in alone.layers["layer"] if (name[0] == "0") == (stage == 0)]
    whole = alone.gradients(layers=layers)
    assert_equal(run.gradients(), whole, (*VALUES, *MICRO, "step_l2"))
    events = run.events()
    losses = events["loss"][events["phase"] == "micro_step"]
    expected = alone.events()["loss"][alone.events()["phase"] == "micro_step"]
    np.testing.assert_allclose(losses, expected if stage else np.full(LENGTH * WINDOWS, np.nan), rtol=1e-6)


@pytest.mark.parametrize("way", FLAT)
def test_a_unit_of_fsdp1_is_one_layer(runs: dict[str, Run], way: str) -> None:
    """The numbers of its parameters added up; what pads the last shard counts for nothing."""
    run, alone = runs[way], runs["alone"].gradients(phases="update")
    assert run.layers["layer"].tolist() == ["0._flat_param", "2._flat_param", "4._flat_param"]
    assert run.layers["numel"].tolist() == [35, 18, 4]
    alone["unit"] = alone["layer"].astype(str).str.split(".").str[0] + "._flat_param"
    alone["numel"] = alone["layer"].astype(str).map(runs["alone"].layers.set_index("layer")["numel"])
    units = alone.assign(
        l1=alone["mean_abs"] * alone["numel"], squares=alone["l2"] ** 2, moved=alone["step_l2"] ** 2
    ).groupby(["unit", "update"])
    counts = runs["alone"].distributions()
    unit = counts["layer"].astype(str).str.split(".").str[0]
    added = counts.groupby([unit, counts["update"]])[list(BIN_NAMES)].sum()
    assert run.distributions()[list(BIN_NAMES)].to_numpy().tolist() == added.to_numpy().tolist()
    update = run.gradients(phases="update")
    for name, expected in {
        "mean_abs": units["l1"].sum() / units["numel"].sum(),
        "l2": np.sqrt(units["squares"].sum()),
        "max_abs": units["max_abs"].max(),
        "step_l2": np.sqrt(units["moved"].sum()),
        "zeros": 0 * units["zeros"].sum(),
    }.items():
        np.testing.assert_allclose(update[name].astype(float), expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("way", ["fsdp", "fsdp1", TENSOR_PARALLEL])
def test_each_rank_holds_a_shard(runs: dict[str, Run], way: str) -> None:
    run = runs[way]
    whole, *parts = (run.gradients(phases="update", rank=rank).set_index(["layer", "update"])["l2"].astype(float)
                     for rank in (None, 0, 1))  # fmt: skip
    shards = (
        whole.index
        if way != TENSOR_PARALLEL
        else [at for at in whole.index if at[0] in ("0.weight", "2.weight")]
    )
    squares = sum(part.fillna(0.0)[shards] ** 2 for part in parts)
    np.testing.assert_allclose(np.sqrt(squares), whole[shards], rtol=1e-6)
    assert (parts[0][shards] < whole[shards]).any()


@pytest.mark.soak  # two processes that load torch and Accelerate
def test_accelerate_on_two_processes(tmp_path: Path) -> None:
    """Watched before or after `prepare`: what is consumed is that of one process."""
    trainings.train("alone", str(tmp_path))
    launch(tmp_path, *trainings.ACCELERATE)
    found = opened(tmp_path)
    for way in trainings.ACCELERATE:
        run, alone = found[way], found["alone"]
        assert_equal(rows(run, "update"), rows(alone, "update"), (*VALUES, "weight_l2", "step_l2"))
        assert_equal(rows(run, "micro_step", last=True), rows(alone, "micro_step", last=True))
        assert run.metadata["not_visible"] == ["ddp-average-of-micro-gradients"]
        assert (run.ranks, run.gaps, run.state) == ([0, 1], [], RunState.FINISHED)


@pytest.mark.soak  # two processes that load torch and both libraries
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")  # Lightning's own
def test_trainers_of_libraries_on_two_processes(tmp_path: Path) -> None:
    """Each with its callback, and a last window that is short: what is consumed is that of one process."""
    launch(tmp_path / "both", *trainings.LIBRARIES)
    for way in trainings.LIBRARIES:
        trainings.begin(way, str(tmp_path / "alone"))
    both, alone = opened(tmp_path / "both"), opened(tmp_path / "alone")
    assert both.keys() == alone.keys() == set(trainings.LIBRARIES)
    for way, run in both.items():
        check_trained_by_a_library(run, alone[way], shared="Manual" in way)


def check_trained_by_a_library(run: Run, alone: Run, *, shared: bool) -> None:
    """The ranks share every micro-step where the user's own code never says `no_sync`, else the last of a window."""
    lengths = alone.gradients(phases="update").groupby("update")["micro_step"].max()
    assert lengths.tolist() in ([4, 4, 4, 3], [4, 4, 2])
    for phase in ("update", "micro_step", "reset"):
        ours, theirs = (one.gradients(phases=phase) for one in (run, alone))
        if phase == "micro_step" and not shared:
            ours, theirs = (
                frame[(frame["micro_step"] == frame["update"].map(lengths))].reset_index(drop=True)
                for frame in (ours, theirs)
            )
        assert_equal(ours, theirs, (*VALUES, "weight_l2", "step_l2"))
    events, others = (one.events().query("phase == 'micro_step'") for one in (run, alone))
    for name in ("samples", "tokens"):
        if name in others:
            assert (events[name] * 2).tolist() == others[name].tolist(), "each rank has so many"
    for name in ("epoch", "loss_elements"):
        assert events[name].tolist() == others[name].tolist()
    weights = [window_ledger(one.gradients(), one.events()).frame["weight"] for one in (run, alone)]
    np.testing.assert_allclose(*weights, rtol=1e-6)
    assert [(f.code, f.update) for f in diagnose(run)] == [(f.code, f.update) for f in diagnose(alone)]
    assert run.metadata["not_visible"] == ["ddp-average-of-micro-gradients"]
    assert (run.ranks, run.gaps, run.state) == ([0, 1], [], RunState.FINISHED)


@pytest.mark.soak  # five processes that load torch
def test_a_restart_adds_a_segment(tmp_path: Path) -> None:
    """Rank 1 is killed in the second window; the launcher starts both anew."""
    launch(tmp_path, "ddp-restarted", restarts=1)
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
