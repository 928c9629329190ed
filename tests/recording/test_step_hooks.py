"""Step pre-hooks of the user that change `p.grad`: what the optimizer consumes is what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gradviz

FACTOR = 0.25


def quartered(optimizer: torch.optim.Optimizer, *_given: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad *= FACTOR


def consumed_and_recorded(folder: Path, *, registered: str) -> list[tuple[float, float]]:
    """Of each update: the L2 norm that the step shows (plain SGD: ||dw|| / lr), and that which was recorded."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    true = []
    if registered == "before":
        optimizer.register_step_pre_hook(quartered)
    with gradviz.watch(model, optimizer, run_dir=folder, strict=True) as recorder:
        if registered == "after":
            optimizer.register_step_pre_hook(quartered)
        for update in range(4):
            if registered == "late" and update == 1:
                optimizer.register_step_pre_hook(quartered)
            model(torch.randn(5, 4)).square().mean().backward()
            weight = model.weight.detach().clone()
            optimizer.step()
            true.append(float((model.weight.detach() - weight).double().norm()) / 0.5)
            optimizer.zero_grad()
    rows = gradviz.open_run(recorder.run_path).gradients(phases="update", layers="weight")
    return list(zip(true, rows["l2"].astype(float), strict=True))


@pytest.mark.parametrize("registered", ["before", "after"])
def test_what_a_pre_hook_changes_is_recorded_as_it_is_consumed(tmp_path: Path, registered: str) -> None:
    for true, recorded in consumed_and_recorded(tmp_path, registered=registered):
        assert recorded == pytest.approx(true, rel=1e-4)


def test_one_registered_while_training_is_followed_from_its_second_step_on(tmp_path: Path) -> None:
    first, second, *rest = consumed_and_recorded(tmp_path, registered="late")
    assert second[1] == pytest.approx(second[0] / FACTOR, rel=1e-4)
    for true, recorded in [first, *rest]:
        assert recorded == pytest.approx(true, rel=1e-4)
