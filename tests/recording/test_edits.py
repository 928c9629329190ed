"""What happens to p.grad between two backwards, and what is no micro-step at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_story import N, batches, ends, make_model, record, rows, run
from torch import nn

from gradviz.schema import L1, NONFINITE, PREVIOUS_SQUARES, SQUARES, Phase

RIGHT = ["r0", "m0.1", "m0.2", "m0.3", "u0.3", "r1", "m1.1", "m1.2", "m1.3", "u1.3", "r2", "m2.1", "u2.1"]


def test_never_reset_shows_the_leftover() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for i, x in enumerate(batches()):
            model(x).square().mean().backward()
            if ends(i):
                optimizer.step()

    writer = run(body)
    assert writer.labels() == [*RIGHT, "r3"]
    resets, updates = writer.of(Phase.RESET), writer.of(Phase.UPDATE)
    for reset, update in zip(resets[1:], updates, strict=True):
        np.testing.assert_array_equal(rows(reset)[:, :4], rows(update)[:, :4])


def test_zero_grad_inside_the_window_is_an_edit() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for i, x in enumerate(batches(6)):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            if (i + 1) % N == 0:
                optimizer.step()

    writer = run(body)
    assert writer.labels() == [
        "r0",
        "m0.1",
        "e0.1",
        "m0.2",
        "e0.2",
        "m0.3",
        "u0.3",
        "r1",
        "m1.1",
        "e1.1",
        "m1.2",
        "e1.2",
        "m1.3",
        "u1.3",
        "r2",
    ]
    assert (rows(writer.of(Phase.EDIT)[0])[:, NONFINITE] == -1).all()


def test_data_zero_inside_the_window_is_seen_by_its_traces() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for x in batches(3):
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.data.zero_()
            model(x).square().mean().backward()
        optimizer.step()

    writer = run(body)
    assert writer.labels() == ["r0", "m0.1", "e0.1", "m0.2", "e0.2", "m0.3", "u0.3", "r1"]
    assert (rows(writer.of(Phase.EDIT)[0])[:, L1] == 0).all()
    assert (rows(writer.of(Phase.MICRO_STEP)[1])[:, PREVIOUS_SQUARES] == 0).all()


@pytest.mark.parametrize(
    ("limit", "story"), [(1e-3, "r0 m0.1 e0.1 m0.2 u0.2 r1"), (1e9, "r0 m0.1 m0.2 u0.2 r1")]
)
def test_clipping_inside_is_an_edit_only_if_it_clipped(limit: float, story: str) -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for x in batches(2):
            nn.utils.clip_grad_norm_(model.parameters(), limit)
            model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    assert run(body).labels() == story.split()


def test_clipping_before_the_update_shows_in_the_update() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model(batches(1)[0]).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()

    writer = run(body)
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]
    assert np.sqrt(rows(writer.of(Phase.UPDATE)[0])[:, SQUARES].sum()) == pytest.approx(1e-3, rel=1e-3)


def test_scaling_through_data_shows_in_the_update() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model(batches(1)[0]).square().mean().backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.data.mul_(0.5)  # leaves no trace in the version
        optimizer.step()

    writer = run(body)
    before, after = rows(writer.of(Phase.MICRO_STEP)[0]), rows(writer.of(Phase.UPDATE)[0])
    np.testing.assert_allclose(after[:, L1], before[:, L1] / 2, rtol=1e-6)


def test_several_backwards_a_batch_count_as_what_they_are() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for x in batches(2):
            model(x).square().mean().backward()
            model(x).abs().mean().backward()
        optimizer.step()

    assert run(body).labels() == ["r0", "m0.1", "m0.2", "m0.3", "m0.4", "u0.4", "r1"]


def test_every_records_whole_windows_and_skips_the_others() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for i, x in enumerate(batches(8)):
            model(x).square().mean().backward()
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()

    assert run(body, every=3).labels() == ["r0", "m0.1", "m0.2", "u0.2", "r3", "m3.1", "m3.2", "u3.2"]


def test_a_failed_backward_leaves_an_edit_not_a_micro_step() -> None:
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("out of memory, say")

    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        x = batches(1)[0]
        model(x).square().mean().backward()
        with pytest.raises(RuntimeError, match="out of memory"):
            model[2](Fails.apply(model[0](x))).sum().backward()
        model(x).square().mean().backward()
        optimizer.step()

    assert run(body).labels() == ["r0", "m0.1", "e0.1", "m0.2", "u0.2", "r1"]


def test_autograd_grad_is_no_micro_step() -> None:
    model = make_model()
    recorder, writer = record(model)
    torch.autograd.grad(model(batches(1)[0]).sum(), list(model.parameters()))
    recorder.close()
    assert writer.events == []
