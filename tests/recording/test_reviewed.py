"""Odd but legal uses of torch that once broke the recorder, each found by a review."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import batches, expected, make_model, record, rows, run
from torch import nn

from gradviz.errors import GradvizWarning
from gradviz.recording.guard import warn
from gradviz.recording.statistics import WIDTH, Gauge, load_kernels
from gradviz.schema import L1, Phase


def last_micro_step(writer: Any) -> np.ndarray:
    return rows(writer.of(Phase.MICRO_STEP)[-1])


def test_a_gradient_without_memory_is_refused_not_read() -> None:
    """A DTensor, a fake tensor or a freed storage has address 0."""
    hollow = torch.ones(5)
    hollow.untyped_storage().resize_(0)
    gauge = Gauge(load_kernels())
    out = np.zeros((1, WIDTH))
    with pytest.raises(TypeError, match="has no memory of its own"):
        gauge.measure(hollow, out, 0)
    with pytest.raises(TypeError, match="has no memory of its own"):
        gauge.measure_pair(hollow, torch.ones(5), out, out, 0)


def test_a_gradient_of_zeros_without_memory_leaves_training_alone() -> None:
    class Zero(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.sum()

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            return torch._efficientzerotensor((4,))

    parameter = nn.Parameter(torch.ones(4))
    recorder, writer = record([("p", parameter)])
    with pytest.warns(GradvizWarning, match="no memory of its own"):
        Zero.apply(parameter).backward()
    recorder.close()
    assert "no memory" in writer.errors[0]
    assert parameter.grad is not None


def test_a_generator_of_losses_is_not_used_up() -> None:
    model = make_model()
    recorder, writer = record(model)
    out = model(batches(1)[0])
    torch.autograd.backward(loss for loss in (out.sum(), out.square().sum()))
    recorder.close()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert writer.of(Phase.MICRO_STEP)[0].scalars == {}


def test_an_optimizer_whose_step_takes_something_else() -> None:
    class Takes(torch.optim.SGD):
        def step(self, loss: Any = None) -> Any:  # type: ignore[override]
            self.got = loss
            return super().step()

    model = make_model()
    optimizer = Takes(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    model(batches(1)[0]).sum().backward()
    optimizer.step(torch.tensor(3.0))
    recorder.close()
    assert optimizer.got == torch.tensor(3.0)
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]


def test_others_may_wrap_backward_in_between() -> None:
    original = torch.autograd.backward
    first, _ = record(make_model())
    ours = torch.autograd.backward

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    torch.autograd.backward = theirs  # type: ignore[assignment]
    try:
        first.close()
        model = make_model()
        second, writer = record(model)
        model(batches(1)[0]).sum().backward()
        second.close()
        assert writer.labels() == ["r0", "m0.1"]
        assert torch.autograd.backward is theirs
    finally:
        torch.autograd.backward = original


def test_a_warning_that_cannot_be_shown_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _text: str) -> int:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr("sys.stderr", Closed())
    warn("nobody hears this")


def test_expanded_gradients_are_taken_in_pieces_not_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    measure_piece = Gauge._measure_piece

    def counted(self: Gauge, piece: torch.Tensor) -> Any:
        taken.append(piece.numel())
        return measure_piece(self, piece)

    monkeypatch.setattr(Gauge, "_measure_piece", counted)
    out = np.zeros((1, WIDTH))
    Gauge(load_kernels()).measure(torch.ones(1).expand(200_000), out, 0)
    assert out[0, L1] == 200_000
    assert len(taken) < 20


@pytest.mark.parametrize("numel", [10, 10_000])
def test_a_hook_after_accumulation_that_leaves_no_trace(numel: int) -> None:
    parameter = nn.Parameter(torch.ones(numel))
    recorder, writer = record([("p", parameter)])

    def halve(p: torch.Tensor) -> None:
        assert p.grad is not None
        p.grad.data.mul_(0.5)

    parameter.register_post_accumulate_grad_hook(halve)
    for _ in range(2):
        (parameter * torch.ones(numel)).sum().backward()
        np.testing.assert_allclose(last_micro_step(writer)[0, :4], expected(parameter.grad)[:4], rtol=1e-6)
    recorder.close()


@pytest.mark.parametrize("numel", [5, 5_000])
def test_autograd_grad_inside_a_backward_adds_nothing(numel: int) -> None:
    weight = nn.Parameter(torch.ones(numel))

    class Implicit(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: torch.Tensor) -> torch.Tensor:
            return w.detach().sum()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                torch.autograd.grad((weight * 1000).sum(), [weight])
            return gradient * torch.ones(numel)

    recorder, writer = record([("w", weight)])
    for _ in range(3):
        Implicit.apply(weight).backward()
        np.testing.assert_allclose(last_micro_step(writer)[0, :4], expected(weight.grad)[:4], rtol=1e-6)
    recorder.close()


def test_an_optimizer_inside_the_backward_is_measured_afresh() -> None:
    parameter = nn.Parameter(torch.ones(5_000))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    recorder, writer = record([("p", parameter)], optimizer)
    parameter.register_post_accumulate_grad_hook(lambda _p: optimizer.step())
    (parameter * torch.cat([torch.zeros(4_999), torch.ones(1)])).sum().backward()
    recorder.close()
    assert rows(writer.of(Phase.UPDATE)[0])[0, 4] == 4_999


def test_another_threads_backward_does_not_take_ours_away() -> None:
    model, stranger = make_model(), make_model()
    recorder, writer = record(model)
    inside, over = threading.Event(), threading.Event()

    def elsewhere() -> None:
        inside.wait(30)
        stranger(batches(1)[0]).sum().backward()
        over.set()

    def pause(_gradient: torch.Tensor) -> None:
        inside.set()
        assert over.wait(30)

    model[2].weight.register_hook(pause)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    model(batches(1)[0]).sum().backward()
    thread.join()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1"]
    for row, parameter in zip(last_micro_step(writer), model.parameters(), strict=True):
        np.testing.assert_allclose(row[:4], expected(parameter.grad)[:4], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "first"), [(torch.bfloat16, 1e-3), (torch.float32, -2.0)], ids=str)
def test_a_sum_with_the_norm_of_its_last_part_is_no_reset(dtype: torch.dtype, first: float) -> None:
    parameter = nn.Parameter(torch.ones(6, dtype=dtype))
    recorder, writer = record([("p", parameter)])
    (parameter * first).sum().backward()
    parameter.sum().backward()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "m0.2"]


def test_a_step_that_raised_leaves_no_update_behind() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        calls = []

        def closure() -> torch.Tensor:
            calls.append(1)
            if len(calls) > 1:
                raise ArithmeticError("diverged")
            loss = model(batches(1)[0]).square().mean()
            loss.backward()
            return loss

        other = torch.optim.LBFGS(model.parameters())
        with pytest.raises(ArithmeticError, match="diverged"):
            other.step(closure)
        optimizer.step()

    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model)
    body(model, optimizer)
    recorder.close()
    assert [label for label in writer.labels() if label.startswith("u")] == ["u0.1"]


def test_what_is_logged_in_a_skipped_window_stays_there() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer, every=2)
    for number in range(3):
        recorder.log(samples=number)
        model(batches(1)[0]).sum().backward()
        optimizer.step()
    recorder.close()
    assert [event.scalars["samples"] for event in writer.of(Phase.MICRO_STEP)] == [0.0, 2.0]


def test_a_loop_without_oddities_is_still_told() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model(batches(1)[0]).sum().backward()
        optimizer.step()

    assert run(body).labels() == ["r0", "m0.1", "u0.1", "r1"]
