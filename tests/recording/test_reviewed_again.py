"""What a second reviewer broke: each case once, as small as it gets."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import batches, expected, make_model, record, rows

from gradviz.errors import GradvizWarning
from gradviz.schema import L1, MICRO_SQUARES, PREVIOUS_SQUARES, SQUARES, STEP_SQUARES, Phase


def test_a_dropped_recorder_among_other_hooks_does_not_stop_the_step() -> None:
    """To remove a hook while torch walks through all of them raises out of `optimizer.step`."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, _ = record(model)
    other, writer = record(model)
    del recorder
    for _ in range(2):
        model(batches(1)[0]).sum().backward()
        optimizer.step()
    other.close()
    assert [label for label in writer.labels() if label.startswith("u")] == ["u0.1", "u1.1"]


def scaler_of(scale: float = 1024.0) -> Any:
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)


class Around(torch.optim.Optimizer):
    """Its step calls another optimizer's and moves the weights once more, as Lookahead does."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        super().__init__(inner.param_groups, {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.inner.step()
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter.mul_(0.5)


@pytest.mark.parametrize("scaled", [False, True])
def test_an_optimizer_around_another_is_one_update(scaled: bool) -> None:
    model = make_model()
    optimizer = Around(torch.optim.SGD(model.parameters(), lr=0.1))
    recorder, writer = record(model)
    scaler = scaler_of()
    steps = []
    for x in batches(2):
        loss = model(x).square().mean()
        (scaler.scale(loss) if scaled else loss).backward()
        before = [p.detach().double() for p in model.parameters()]
        if scaled:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        after = [p.detach().double() for p in model.parameters()]
        steps.append([float((new - old).square().sum()) for new, old in zip(after, before, strict=True)])
        optimizer.zero_grad()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1", "m1.1", "u1.1", "r2"]
    for event, truth in zip(writer.of(Phase.UPDATE), steps, strict=True):
        np.testing.assert_allclose(rows(event)[:, STEP_SQUARES], truth, rtol=1e-5)


def test_an_optimizer_that_is_not_recorded_is_not_said_to_be_refused() -> None:
    model = make_model()
    parameters = list(model.parameters())
    ours, theirs = torch.optim.SGD(parameters[:2], lr=0.1), torch.optim.SGD(parameters[2:], lr=0.1)
    recorder, writer = record(model, ours)
    scaler = scaler_of()
    scaler.scale(model(batches(1)[0]).sum()).backward()
    scaler.step(ours)
    scaler.step(theirs)
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]


def test_a_refused_update_is_told_once_where_others_wrapped_the_scaler_in_between() -> None:
    original = torch.amp.GradScaler.step
    first, _ = record(make_model())
    ours: Any = torch.amp.GradScaler.step

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    torch.amp.GradScaler.step = theirs  # type: ignore[method-assign]
    try:
        first.close()
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder, writer = record(model, optimizer)
        scaler = scaler_of()
        scaler.scale(model(batches(1)[0]).sum() * float("inf")).backward()
        scaler.step(optimizer)
        recorder.close()
    finally:
        torch.amp.GradScaler.step = original  # type: ignore[method-assign]
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]


def test_an_optimizer_whose_groups_cannot_be_read() -> None:
    class Closed(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            self.stepped = True

    model = make_model()
    optimizer = Closed(model.parameters(), lr=0.1)
    recorder, writer = record(model)
    optimizer.param_groups = [{}]
    with pytest.warns(GradvizWarning, match="KeyError"):
        optimizer.step()
    recorder.close()
    assert optimizer.stepped
    assert "KeyError" in writer.errors[0]


def step_inside(model: Any) -> None:
    """Each parameter has an optimizer of its own that steps as soon as its gradient is there."""

    def step(parameter: torch.Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)


def test_optimizers_inside_the_backward_of_windows_that_are_not_recorded() -> None:
    model = make_model()
    step_inside(model)
    recorder, writer = record(model, every=2)
    for x in batches(5):
        model(x).sum().backward()
    assert not recorder._observer.updates.inner
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r2", "m2.1", "u2.1", "r4", "m4.1", "u4.1"]
    for micro, update in zip(writer.of(Phase.MICRO_STEP), writer.of(Phase.UPDATE), strict=True):
        np.testing.assert_allclose(rows(update)[:, SQUARES], rows(micro)[:, MICRO_SQUARES], rtol=1e-12)


def test_optimizers_inside_a_backward_that_fails() -> None:
    model = make_model()
    step_inside(model)
    fails = [False, True, False]

    def fail(_gradient: torch.Tensor) -> None:
        if fails.pop(0):
            raise ArithmeticError("yours")

    recorder, writer = record(model)
    model[0].weight.register_hook(fail)
    for x in batches(3):
        with suppress(ArithmeticError):
            model(x).sum().backward()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r2", "m2.1", "u2.1", "r3"]
    micro, update = rows(writer.of(Phase.MICRO_STEP)[1]), rows(writer.of(Phase.UPDATE)[1])
    np.testing.assert_allclose(update[:, SQUARES], micro[:, MICRO_SQUARES], rtol=1e-12)


def test_what_a_refused_update_counted_is_not_the_next_ones() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer, distributions=2)
    scaler = scaler_of()
    for spoil, x in zip([1.0, 1.0, float("inf"), 1.0, 1.0], batches(5), strict=True):
        scaler.scale(model(x * spoil).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    recorder.close()
    counted = [update.counts is not None for update in writer.of(Phase.UPDATE)]
    assert counted == [True, False, False, False, True]


def test_a_closure_that_raised_leaves_nothing_to_the_next_step() -> None:
    model = make_model()
    other = torch.optim.LBFGS(model.parameters())
    optimizer = torch.optim.SGD(list(model.parameters())[:2], lr=0.1)
    recorder, writer = record(model)
    calls: list[int] = []

    def closure() -> torch.Tensor:
        calls.append(1)
        if len(calls) > 1:
            raise ArithmeticError("diverged")
        loss: torch.Tensor = model(batches(1)[0]).square().mean()
        loss.backward()
        return loss

    with pytest.raises(ArithmeticError, match="diverged"):
        other.step(closure)
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None
    model(batches(2)[1]).sum().backward()
    truth = [expected(p.grad)[1] for p in list(model.parameters())[:2]]
    optimizer.step()
    recorder.close()
    (update,) = writer.of(Phase.UPDATE)
    assert update.layer_ids.tolist() == [0, 1]
    np.testing.assert_allclose(rows(update)[:, SQUARES], truth, rtol=1e-6)


def test_losses_scaled_together_have_a_backward_each() -> None:
    """Also with another model's backward, that nobody scaled, in between."""
    model, other = make_model(), make_model()
    recorder, writer = record(model)
    other_recorder, other_writer = record(other)
    scaler = scaler_of()
    losses = [scaler.scale(model(x).square().mean()) for x in batches(2)]
    losses[0].backward()
    other(batches(1)[0]).sum().backward()
    losses[1].backward()
    truth = [expected(p.grad)[0] / 1024 for p in model.parameters()]
    recorder.close()
    other_recorder.close()
    assert [event.scalars["amp_scale"] for event in writer.of(Phase.MICRO_STEP)] == [1024.0, 1024.0]
    np.testing.assert_allclose(rows(writer.of(Phase.MICRO_STEP)[1])[:, L1], truth, rtol=1e-6)
    assert "amp_scale" not in other_writer.of(Phase.MICRO_STEP)[0].scalars


def test_gradients_unscaled_in_the_middle_of_a_window() -> None:
    """What had accumulated weighs 1 / scale of what comes after it, and is shown so."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    scaler = scaler_of()
    scaler.scale(model(batches(2)[0]).sum()).backward()
    scaler.unscale_(optimizer)
    truth = [expected(p.grad)[1] / 1024**2 for p in model.parameters()]
    scaler.scale(model(batches(2)[1]).sum()).backward()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "e0.1", "m0.2"]
    np.testing.assert_allclose(rows(writer.events[-1])[:, PREVIOUS_SQUARES], truth, rtol=1e-5)


def test_a_scaler_whose_step_raised_refused_nothing() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    scaler = scaler_of()
    scaler.scale(model(batches(1)[0]).sum()).backward()
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: None)
    optimizer.step()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]
    assert "skipped" not in writer.of(Phase.UPDATE)[0].scalars


def test_no_learning_and_an_infinite_gradient() -> None:
    """0 x inf is NaN, and no warning of numpy's (here it would be an error)."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    recorder, writer = record(model, optimizer)
    (model(batches(1)[0]).sum() * float("inf")).backward()
    optimizer.step()
    recorder.close()
    assert np.isnan(rows(writer.of(Phase.UPDATE)[0])[:, STEP_SQUARES]).all()
