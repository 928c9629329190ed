"""Tensor parallelism on one process: gradients that are cut in another way than their parameters, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradviz.store import Run, list_runs, open_run
from tests.forking import Forked

SCRIPT = """
import copy
import sys
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel, parallelize_module
import gradviz

torch.manual_seed(0)
plain = nn.Sequential(nn.Embedding(10, 6), nn.LayerNorm(6), nn.Linear(6, 800), nn.Tanh(), nn.Linear(800, 6))
store = distributed.HashStore()
distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
plan = {
    "0": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1)),
    "1": SequenceParallel(),
    "2": ColwiseParallel(input_layouts=Shard(1)),
    "4": RowwiseParallel(output_layouts=Replicate()),
}
words = torch.randint(0, 10, (2, 4))
for name, plan in (("whole", {}), ("cut", plan)):
    net = parallelize_module(plain, init_device_mesh("cpu", (1,)), plan) if plan else copy.deepcopy(plain)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, foreach=False)
    with gradviz.watch(net, optimizer, run_dir=sys.argv[1], name=name, distributions=True, strict=True):
        for _ in range(3):
            net(words).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
distributed.destroy_process_group()
"""
NORM = ["1.weight", "1.bias"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("cut")
    training = Forked(SCRIPT, folder)
    _, errors = training.communicate()
    assert training.returncode == 0, errors
    return {run.name: open_run(run.path) for run in list_runs(folder)}


def test_gradients_of_which_each_process_holds_a_summand_are_missing_and_said(
    runs: dict[str, Run],
) -> None:
    cut = runs["cut"]
    frame = cut.gradients(phases=("micro_step", "update"), layers=NORM)
    assert len(frame) == 4 * len(NORM)
    assert frame[["mean_abs", "l2", "max_abs", "micro_l2"]].isna().all().all()
    assert cut.metadata["not_visible"] == ["tensor-parallel-partial-gradient"]
    assert cut.distributions(layers=NORM).empty
    for name in ("weight_l2", "step_l2"):  # taken of the weights
        ours, theirs = (
            run.gradients(phases="update", layers=NORM)[name].astype(float) for run in (cut, runs["whole"])
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=name)


def test_all_other_gradients_are_those_of_the_whole_model(runs: dict[str, Run]) -> None:
    """Small and large ones, and that of the embedding, which is whole although the embedding is cut."""
    cut, whole = runs["cut"], runs["whole"]
    others = [layer for layer in whole.layers["layer"] if layer not in NORM]
    ours, theirs = (run.gradients(layers=others, phases=("micro_step", "update")) for run in (cut, whole))
    for name in (
        "mean_abs",
        "l2",
        "max_abs",
        "zeros",
        "micro_mean_abs",
        "micro_l2",
        "micro_max_abs",
        "weight_l2",
        "step_l2",
    ):
        np.testing.assert_allclose(
            ours[name].astype(float), theirs[name].astype(float), rtol=1e-5, err_msg=name
        )
    assert ours["event"].tolist() == theirs["event"].tolist()


BEFORE = """
import logging
import sys
import torch
from torch import distributed
import gradviz
from tests.distributed import trainings

logging.disable()
distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
plain = trainings.model()
with gradviz.watch(plain, run_dir=sys.argv[2]):
    net = trainings.wrapped(sys.argv[1], plain)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for inputs, targets in trainings.batches():
        (net(inputs) - targets).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
distributed.destroy_process_group()
"""


@pytest.mark.parametrize("way", ["fsdp", "fsdp1", "fsdp1-flat"])
def test_a_model_that_is_wrapped_after_watch_is_said_to_be_and_never_recorded_wrong(
    tmp_path: Path, way: str
) -> None:
    training = Forked(BEFORE, way, tmp_path)
    _, errors = training.communicate()
    assert training.returncode == 0, errors
    assert "Call watch when FSDP or tensor parallelism has wrapped the model" in errors
    (run,) = list_runs(tmp_path)
    assert open_run(run.path).gradients(phases=("micro_step", "update")).empty
