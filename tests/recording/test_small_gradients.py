"""Small gradients are measured together, and none of them outlives its backward."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gradviz
from gradviz.recording.small_gradients import SMALL, TOGETHER, small_ones


def test_only_so_many_are_kept_as_1_mb_holds() -> None:
    few = np.array([SMALL, SMALL + 1, 1])
    assert small_ones(few) == [True, False, True]
    many = np.array([10**9] + [SMALL] * 20_000)
    assert sum(small_ones(many)) * SMALL == TOGETHER
    assert small_ones(many)[:100] == small_ones(many[:100])  # a hook asks once


@pytest.mark.parametrize("fails", [False, True])
def test_none_outlives_its_backward(tmp_path: Path, fails: bool) -> None:
    weight = nn.Parameter(torch.ones(3))
    seen: list[weakref.ref[Tensor]] = []

    class Noted(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(_ctx: object, _gradient: Tensor) -> Tensor:
            gradient = torch.full((3,), 2.0)
            seen.append(weakref.ref(gradient))
            return gradient

    def failing(_parameter: Tensor) -> None:
        raise ZeroDivisionError

    with gradviz.watch([("weight", weight)], run_dir=tmp_path) as recorder:
        Noted.apply(weight).sum().backward()
        if fails:
            handle = weight.register_post_accumulate_grad_hook(failing)
            with pytest.raises(ZeroDivisionError):
                Noted.apply(weight).sum().backward()
            handle.remove()
        else:
            Noted.apply(weight).sum().backward()
        assert seen[1]() is None
        Noted.apply(weight).sum().backward()
    rows = gradviz.open_run(recorder.run_path).gradients(phases="micro_step")
    assert rows["micro_l2"].tolist() == pytest.approx([12**0.5] * len(rows))
    assert len(rows) == (2 if fails else 3)


def test_training_goes_on_bit_for_bit_where_torch_would_have_kept_the_gradient_itself(tmp_path: Path) -> None:
    def trained(*, watched: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        optimizer = torch.optim.AdamW(model.parameters())
        recorder = gradviz.watch(model, optimizer, run_dir=tmp_path) if watched else None
        for place in range(9):
            model(torch.randn(4, 5)).square().mean().backward()
            if place % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
        if recorder is not None:
            recorder.close()
        return [parameter.detach() for parameter in model.parameters()]

    for bare, recorded in zip(trained(watched=False), trained(watched=True), strict=True):
        assert torch.equal(bare, recorded)
