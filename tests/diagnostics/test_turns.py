"""A GAN with a `watch` each: the generator's backwards come by the critic, too, and are cleared before its own turn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gradviz
from gradviz.schema import Level

WINDOWS = 12


def train(folder: Path, *, length: int, declared: int | None, apart: bool) -> dict[str, list[str]]:
    """Turns of `length` micro-steps; `apart` takes two backwards for real and fake. Warnings and errors by model."""
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 2))
    judge = nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))
    makes, judges = (torch.optim.Adam(one.parameters(), lr=1e-3) for one in (maker, judge))
    watches = {
        name: gradviz.watch(
            model, optimizer, run_dir=folder, name=name, accumulation_steps=declared, strict=True
        )
        for name, model, optimizer in (("maker", maker, makes), ("judge", judge, judges))
    }
    with watches["maker"], watches["judge"]:
        for _ in range(WINDOWS):
            judges.zero_grad()
            for _ in range(length):
                real, fake = torch.randn(16, 2) + 1, maker(torch.randn(16, 4)).detach()
                losses = judged(judge(real), 1.0) / length, judged(judge(fake), 0.0) / length
                for loss in losses if apart else (sum(losses),):
                    loss.backward()
            judges.step()
            makes.zero_grad()
            for _ in range(length):
                (judged(judge(maker(torch.randn(16, 4))), 1.0) / length).backward()
            makes.step()
    return {run.name: codes(run.path) for run in gradviz.list_runs(folder)}


def judged(scores: Tensor, verdict: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, verdict))


def codes(path: Path) -> list[str]:
    return [found.code for found in gradviz.diagnose(gradviz.open_run(path)) if found.level != Level.INFO]


@pytest.mark.parametrize(
    ("length", "declared", "apart"), [(4, 4, False), (4, None, False), (1, None, False), (1, None, True)]
)
def test_turns_are_no_fault(tmp_path: Path, length: int, declared: int | None, apart: bool) -> None:
    found = train(tmp_path, length=length, declared=declared, apart=apart)
    assert found == {"maker": [], "judge": []}


@pytest.mark.parametrize("declared", [4, None])
def test_a_window_that_is_cleared_before_its_last_micro_step_is_one(
    tmp_path: Path, declared: int | None
) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with gradviz.watch(model, optimizer, run_dir=tmp_path, accumulation_steps=declared) as recorder:
        for i in range(4 * WINDOWS):
            if i % 4 == 3:
                optimizer.zero_grad()
            (model(torch.randn(8, 3)).square().mean() / 4).backward()
            if i % 4 == 3:
                optimizer.step()
    assert recorder.run_path is not None
    assert "reset-inside-window" in codes(recorder.run_path)
