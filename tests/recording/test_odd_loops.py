"""Odd loops, each the real thing: the whole event list, and every number against gradients taken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_event, assert_micro_steps, micro_gradients
from loop_story import batches, make_model, record, rows
from torch import nn
from torch.utils.checkpoint import checkpoint
from two_windows import RIGHT, story

from gradviz.schema import L1, MICRO_NONFINITE, Phase

LossOf = Callable[[torch.Tensor], torch.Tensor]


def train(optimizer: torch.optim.Optimizer, loss_of: LossOf) -> None:
    for i, x in enumerate(batches(4)):
        loss_of(x).backward()
        if i % 2:
            optimizer.step()
            optimizer.zero_grad()


def twin_story(model: nn.Module, loss_of: LossOf) -> Any:
    """What `train` should have recorded, from an equal model that nobody watches."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    return micro_gradients(trainable, [lambda x=x: loss_of(x) for x in batches(4)], window=2)


# ---- compiled ----


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("first", ["watch", "compile"])
def test_compiled_before_and_after(first: str, backend: str) -> None:
    torch._dynamo.reset()
    model = make_model()
    compiled: Any = torch.compile(model, backend=backend) if first == "compile" else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model if compiled is None else compiled, optimizer)
    compiled = torch.compile(model, backend=backend) if compiled is None else compiled
    train(optimizer, lambda x: compiled(x).square().mean())
    recorder.close()
    assert story(writer) == RIGHT
    assert [layer.name for layer in recorder.watched.layers] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    twin = make_model()
    assert_micro_steps(writer, twin_story(twin, lambda x: twin(x).square().mean()))


@pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # likewise
@pytest.mark.parametrize("part", ["optimizer", "micro-step", "backward"])
def test_compiled_around_what_is_observed(part: str) -> None:
    """The compiler meets the observing code: it must neither leave it out nor stumble over it."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model, twin = make_model(), make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)

    def micro_step(x: torch.Tensor) -> None:
        model(x).square().mean().backward()

    with torch._dynamo.config.patch(compiled_autograd=part == "backward"):
        step: Any = torch.compile(optimizer.step, backend="eager") if part == "optimizer" else optimizer.step
        learn: Any = torch.compile(micro_step, backend="eager") if part != "optimizer" else micro_step
        for i, x in enumerate(batches(4)):
            learn(x)
            if i % 2:
                step()
                optimizer.zero_grad()
    recorder.close()
    assert story(writer) == RIGHT
    assert_micro_steps(writer, twin_story(twin, lambda x: twin(x).square().mean()))
    assert (torch._dynamo.utils.counters["compiled_autograd"]["captures"] > 0) == (part == "backward")


def test_a_compiled_part_has_its_plain_name_and_type() -> None:
    model = make_model()
    model[0] = torch.compile(model[0], backend="eager")  # type: ignore[assignment]
    recorder, _ = record(model)
    recorder.close()
    first = recorder.watched.layers[0]
    assert (first.name, first.module_type) == ("0.weight", "Linear")


# ---- checkpointed ----


class Checkpointed(nn.Module):
    """Three layers, each recomputed in the backward; `shared` makes them one layer, used three times."""

    def __init__(self, shared: bool, use_reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Linear(5, 5) for _ in range(1 if shared else 3)]
        self.layers = nn.ModuleList(layers * 3 if shared else layers)
        self.use_reentrant = use_reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()  # else a re-entrant checkpoint gives its first layer no gradient
        for layer in self.layers:
            if self.use_reentrant is None:
                x = layer(x).tanh()
            else:
                x = checkpoint(lambda x, layer=layer: layer(x).tanh(), x, use_reentrant=self.use_reentrant)
        return x


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_activation_checkpointing(shared: bool, use_reentrant: bool) -> None:
    model = Checkpointed(shared, use_reentrant)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    train(optimizer, lambda x: model(x).square().mean())
    recorder.close()
    assert story(writer) == RIGHT
    twin = Checkpointed(shared, None)
    in_parts = shared and use_reentrant  # three nested backwards, and so three parts of one g_k
    by_hand = twin_story(twin, lambda x: twin(x).square().mean())
    assert_micro_steps(writer, by_hand, own_known=not in_parts)
    later = rows(writer.of(Phase.MICRO_STEP)[1])[:, MICRO_NONFINITE]
    assert (later == (-1 if in_parts else 0)).all(), "what came in parts is unknown, never guessed"


# ---- higher derivatives, closures ----


def penalised(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The loss of a critic with the penalty on the norm of its gradient (WGAN-GP)."""
    x = x.clone().requires_grad_()
    out = model(x).sum()
    (slope,) = torch.autograd.grad(out, x, create_graph=True)
    return out / len(x) + 10 * (slope.norm(dim=1) - 1).square().mean()


def test_a_gradient_penalty() -> None:
    model, twin = make_model(), make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    train(optimizer, lambda x: penalised(model, x))
    recorder.close()
    assert story(writer) == RIGHT
    assert_micro_steps(writer, twin_story(twin, lambda x: penalised(twin, x)))


@pytest.mark.filterwarnings(
    "ignore:Using backward.. with create_graph=True:UserWarning"
)  # the cycle is cut below
def test_a_backward_that_can_itself_be_differentiated() -> None:
    model, x = make_model(), batches(1)[0]
    recorder, writer = record(model)
    model(x).square().mean().backward(create_graph=True)
    first = [p.grad.detach().clone() for p in model.parameters()]
    sum(p.grad.square().sum() for p in model.parameters()).backward()
    second = [p.grad.detach().clone() for p in model.parameters()]
    recorder.close()
    assert story(writer) == "r0 m0.1 m0.2"
    assert_event(writer.events[1], first, first)
    assert_event(writer.events[2], second, [b - a for a, b in zip(first, second, strict=True)])
    for parameter in model.parameters():
        parameter.grad = None


def test_lbfgs_with_a_line_search_and_windows_in_its_closure() -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3, line_search_fn="strong_wolfe")
    recorder, writer = record(model, optimizer)
    calls: list[list[torch.Tensor]] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses = [model(x).square().mean() / 2 for x in batches(2)]
        for loss in losses:
            loss.backward()
        calls.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        return sum(losses)

    closing = []
    for update in range(2):
        calls.clear()
        optimizer.step(closure)
        told = [f"m{update}.1", f"m{update}.2"]
        for k in range(2, 2 * len(calls), 2):
            told += [f"e{update}.{k}", f"m{update}.{k + 1}", f"m{update}.{k + 2}"]
        closing += [f"r{update}", *told, f"u{update}.{2 * len(calls)}"]
        assert_event(writer.of(Phase.UPDATE)[update], calls[-1])
    recorder.close()
    assert story(writer) == " ".join([*closing, "r2"])


# ---- an optimizer inside the backward ----


@pytest.mark.parametrize("named", [False, True])
def test_an_optimizer_inside_the_backward(named: bool) -> None:
    """Each gradient is consumed and freed as soon as it is there: there is never a whole G_n in memory."""
    model, twin = make_model(), make_model()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def consume(parameter: torch.Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(consume)
    recorder, writer = record(model, *(optimizers.values() if named else ()))
    for x in batches(2):
        model(x).square().mean().backward()
    recorder.close()
    assert story(writer) == "r0 m0.1 u0.1 r1 m1.1 u1.1 r2"
    losses = [lambda x=x: twin(x).square().mean() for x in batches(2)]
    by_hand = micro_gradients(twin.parameters(), losses, window=1)
    assert_micro_steps(writer, by_hand)
    for update, (_, accumulated) in zip(writer.of(Phase.UPDATE), by_hand, strict=True):
        assert_event(update, accumulated)


# ---- adapters ----


def adapted() -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(make_model(), LoraConfig(r=2, target_modules=["0", "2"], lora_dropout=0.0))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)  # zero at first, and so would be every gradient of A
    return model


def test_adapters_on_a_frozen_model() -> None:
    model, twin = adapted(), adapted()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    recorder, writer = record(model, optimizer)
    train(optimizer, lambda x: model(x).square().mean())
    recorder.close()
    assert story(writer) == RIGHT
    layers = recorder.watched.layers
    recorded = [layers[slot] for slot in writer.of(Phase.MICRO_STEP)[0].layer_ids]
    assert len(layers) == 8
    assert [layer.name.removeprefix("base_model.model.") for layer in recorded] == [
        f"{at}.lora_{matrix}.default.weight" for at in (0, 2) for matrix in "AB"
    ]
    assert [layer.trainable for layer in layers].count(True) == 4
    assert_micro_steps(writer, twin_story(twin, lambda x: twin(x).square().mean()))
    assert (rows(writer.of(Phase.UPDATE)[0])[:, L1] > 0).all()
    np.testing.assert_array_equal(
        writer.of(Phase.UPDATE)[0].layer_ids, writer.of(Phase.MICRO_STEP)[0].layer_ids
    )
