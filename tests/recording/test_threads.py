"""Several threads in a backward at the same time: whose is the model's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from by_hand import assert_event, assert_micro_steps
from loop_story import batches, make_model, record
from two_windows import RIGHT, story, train, twin_story


def test_a_backward_in_another_thread_than_the_watch() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    thread = threading.Thread(target=train, args=(model, optimizer))
    thread.start()
    thread.join()
    recorder.close()
    assert story(writer) == RIGHT
    assert_micro_steps(writer, twin_story())


class Paused(torch.autograd.Function):
    """Its backward waits."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, inside: threading.Event, over: threading.Event) -> torch.Tensor:
        ctx.events = inside, over
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inside, over = ctx.events
        inside.set()
        assert over.wait(30)
        return gradients[0], None, None


class Beside:
    """Another thread, in the backward of `loss()`; it has brought no gradient before it is let go."""

    def __init__(self, loss: Callable[[], torch.Tensor]) -> None:
        inside, self.over = threading.Event(), threading.Event()
        self.thread = threading.Thread(
            target=lambda: Paused.apply(loss(), inside, self.over).backward()  # type: ignore[no-untyped-call]
        )
        self.thread.start()
        assert inside.wait(30)

    def let_go(self) -> None:
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize("reached", [False, True])
def test_a_training_inside_the_backward_of_another_thread(reached: bool) -> None:
    model, stranger = make_model(), make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    beside, told_beside = record(stranger)
    inside, over = threading.Event(), threading.Event()

    def pause(_gradient: torch.Tensor) -> None:
        inside.set()
        assert over.wait(30)

    if reached:  # a part of the stranger's gradients has come
        stranger[2].weight.register_hook(pause)
        thread = threading.Thread(target=lambda: stranger(batches(1)[0]).sum().backward())
        thread.start()
        assert inside.wait(30)
        train(model, optimizer)
        over.set()
        thread.join()
    else:
        other = Beside(lambda: stranger(batches(1)[0]).sum())
        train(model, optimizer)
        other.let_go()
    recorder.close()
    beside.close()
    assert story(told_beside) == "r0 m0.1"
    assert_event(told_beside.events[1], [p.grad for p in stranger.parameters()])
    assert story(writer) == RIGHT
    assert_micro_steps(writer, twin_story())


def test_a_stranger_s_training_inside_our_backward() -> None:
    """Its gradients come first, but they are not the model's; the loss is that of the model, too."""
    model, stranger = make_model(), make_model()
    its = torch.optim.SGD(stranger.parameters(), lr=0.1)
    recorder, writer = record(model)
    value = model(batches(1)[0]).square().mean()
    ours = Beside(lambda: model(batches(1)[0]).square().mean())
    train(stranger, its)
    ours.let_go()
    recorder.close()
    assert story(writer) == "r0 m0.1"
    assert_event(writer.events[1], [p.grad for p in model.parameters()])
    assert writer.events[1].scalars["loss"] == value.item()


@pytest.mark.parametrize("first", ["older", "younger"])
def test_ours_between_two_of_strangers(first: str) -> None:
    model, stranger = make_model(), make_model()
    recorder, writer = record(model)
    value = model(batches(1)[0]).square().mean()
    older = Beside(lambda: stranger(batches(1)[0]).sum())
    ours = Beside(lambda: model(batches(1)[0]).square().mean())
    younger = Beside(lambda: stranger(batches(2)[1]).sum())
    (older if first == "older" else younger).let_go()
    ours.let_go()
    (younger if first == "older" else older).let_go()
    recorder.close()
    assert story(writer) == "r0 m0.1"
    assert_event(writer.events[1], [p.grad for p in model.parameters()])
    assert writer.events[1].scalars["loss"] == value.item()
