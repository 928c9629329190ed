"""The loss audit in real loops: mixed precision, models of frameworks, checkpoints, compilers, hooks."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gradviz.recording.loss_audit import LossAudit, audit

UNKNOWN = LossAudit()
INPUTS = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 2, 1, -100, 2, 1, -100])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def loss_of(model: Callable[[Tensor], Tensor]) -> Tensor:
    return F.cross_entropy(model(INPUTS), LABELS) / 4


def about(weight: float) -> Any:
    return pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_under_autocast_and_a_scaler(dtype: torch.dtype) -> None:
    model, scaler = network(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torch.autocast("cpu", dtype=dtype):
        loss = loss_of(model)
    scaled = scaler.scale(loss)
    assert audit(scaled, amp_scale=scaler.get_scale()) == LossAudit(about(1 / 20), "mean", 5)
    assert audit(scaled) == LossAudit(about(1024 / 20), "mean", 5)  # the scale is a factor like any other


def test_counts_are_exact_in_half_precision() -> None:
    labels = torch.arange(1001) % 3
    labels[:2] = -100  # 999 is no bfloat16
    loss = F.cross_entropy(torch.randn(1001, 3, dtype=torch.bfloat16, requires_grad=True), labels)
    assert audit(loss) == LossAudit(about(1 / 999), "mean", 999)


def tiny_gpt() -> Any:
    transformers = pytest.importorskip("transformers")
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": 40}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0))


def test_a_language_model_of_transformers() -> None:
    model, tokens = tiny_gpt(), torch.arange(24).view(2, 12)
    labels = tokens.clone()
    labels[1, 5:] = -100  # 11 + 4 targets: the first token of a text has none
    mean = model(input_ids=tokens, labels=labels).loss / 4
    assert audit(mean) == LossAudit(about(1 / 60), "mean", 15)
    for items in (50, torch.tensor(50)):
        total = model(input_ids=tokens, labels=labels, num_items_in_batch=items).loss
        assert audit(total) == LossAudit(about(1 / 50), "sum", 15)


def test_a_compiled_loss_is_unknown_and_one_of_a_compiled_model_is_not() -> None:
    model = network()
    assert audit(torch.compile(lambda: loss_of(model), backend="aot_eager")()) == UNKNOWN
    compiled = torch.compile(model, backend="aot_eager")
    assert audit(loss_of(compiled)) == LossAudit(about(1 / 20), "mean", 5)


class Doubled(torch.autograd.Function):
    """Someone's own loss: what it does to the gradient is its own affair."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 2 * slope


def test_a_function_of_ones_own_is_unknown() -> None:
    model = network()
    assert audit(Doubled.apply(loss_of(model))) == UNKNOWN
    assert audit(Doubled.apply((model(INPUTS) - 1) ** 2).mean()) == UNKNOWN
    assert audit(F.mse_loss(Doubled.apply(model(INPUTS)), torch.zeros(7, 3))) == LossAudit(
        about(1 / 21), "mean", 21
    )


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_is_not_computed_twice_for_us(reentrant: bool) -> None:
    model, passes = network(), []

    def forward(inputs: Tensor) -> Tensor:
        passes.append(len(passes))
        return model(inputs)

    inputs = INPUTS.clone().requires_grad_()
    outside = F.cross_entropy(checkpoint(forward, inputs, use_reentrant=reentrant), LABELS) / 4
    assert audit(outside) == LossAudit(about(1 / 20), "mean", 5)
    inside = checkpoint(lambda x: F.cross_entropy(forward(x), LABELS), inputs, use_reentrant=reentrant)
    assert audit(inside / 4) == UNKNOWN
    assert passes == [0, 1]


def test_hooks_of_saved_tensors_do_not_run() -> None:
    unpacked = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpacked.append):
        loss = loss_of(network())
    assert audit(loss) == UNKNOWN
    assert unpacked == []


def test_several_losses_at_once() -> None:
    model = network()
    mean, half = (
        F.mse_loss(model(INPUTS), torch.zeros(7, 3)),
        F.mse_loss(model(INPUTS[:2]), torch.zeros(2, 3)),
    )
    assert audit([mean]) == LossAudit(about(1 / 21), "mean", 21)
    assert audit([mean / 4, mean / 4]) == LossAudit(about(2 / 84), "mean", 21)
    assert audit((mean, F.l1_loss(model(INPUTS), torch.zeros(7, 3)))) == LossAudit(
        about(1 / 21), "mean", None
    )
    assert audit([mean, half]) == UNKNOWN


def test_a_penalty_on_the_weights_leaves_the_loss_as_it_is() -> None:
    model, right = network(), LossAudit(about(1 / 20), "mean", 5)
    penalty = sum(p.pow(2).sum() for p in model.parameters())
    assert audit(loss_of(model) + 0.01 * penalty) == right
    assert audit(0.01 * sum(p.abs().mean() for p in model.parameters()) + loss_of(model)) == right
    assert audit(loss_of(model) + torch.stack([p.norm() for p in model.parameters()]).sum()) == UNKNOWN


def test_the_gradient_that_backward_was_given_is_a_factor() -> None:
    loss = loss_of(network())
    assert audit(loss, gradient=torch.tensor(0.5)) == LossAudit(about(1 / 40), "mean", 5)
    assert audit([loss], gradient=[torch.tensor(3.0)]) == LossAudit(about(3 / 20), "mean", 5)
    assert audit([loss], gradient=[None]) == LossAudit(about(1 / 20), "mean", 5)
    each = F.cross_entropy(network()(INPUTS), LABELS, reduction="none")
    assert audit(each, gradient=torch.full((7,), 1 / 7)) == UNKNOWN


def test_a_hook_on_the_loss_may_change_everything() -> None:
    loss = loss_of(network())
    loss.register_hook(lambda slope: slope * 3)
    assert audit(loss) == UNKNOWN


def strange_things() -> Iterator[Any]:
    yield from (None, "loss", 3.0, [], [None], torch.tensor(1.0), torch.ones(()).requires_grad_())
    yield torch.zeros(0, 3, requires_grad=True).mean()
    yield F.cross_entropy(torch.zeros(2, 3, requires_grad=True), torch.tensor([-100, -100]))  # 0 / 0
    yield torch.zeros(3, dtype=torch.complex64, requires_grad=True).sum().abs()
    yield torch.zeros(3, requires_grad=True).mean() * float("inf")


def test_strange_things_are_unknown() -> None:
    assert [audit(thing) for thing in strange_things()] == [UNKNOWN] * len(list(strange_things()))


def test_an_iterator_is_not_used_up() -> None:
    losses = iter([loss_of(network())])
    assert audit(losses) == UNKNOWN
    assert len(list(losses)) == 1


def test_a_divisor_that_was_changed_since_is_unknown() -> None:
    parts = torch.tensor(4.0)
    loss = F.mse_loss(network()(INPUTS), torch.zeros(7, 3)) / parts
    parts.fill_(8.0)
    assert audit(loss) == UNKNOWN


def test_backward_is_the_same_and_nothing_stays_alive() -> None:
    def gradients(look: bool) -> list[Tensor]:
        model = network()
        loss = (F.cross_entropy(model(INPUTS), LABELS, reduction="none") * (LABELS >= 0)).sum() / 20
        if look:
            state = torch.get_rng_state()
            audits.append(audit(loss))
            assert torch.equal(state, torch.get_rng_state())
        loss.backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    audits: list[LossAudit] = []
    assert all(torch.equal(a, b) for a, b in zip(gradients(True), gradients(False), strict=True))
    assert audits == [LossAudit(about(1 / 20), "sum", 5)]
    target = LABELS.clone()
    loss = F.cross_entropy(network()(INPUTS), target)
    found, gone = audit(loss), weakref.ref(target)
    del target, loss
    gc.collect()
    assert gone() is None
    assert found.elements == 5


def test_the_columns_of_an_event() -> None:
    assert LossAudit(0.25, "mean", 4).scalars() == {
        "loss_weight": 0.25,
        "loss_reduction": 1,
        "loss_elements": 4,
    }
    assert LossAudit(0.25, "sum").scalars() == {"loss_weight": 0.25, "loss_reduction": 2}
    assert UNKNOWN.scalars() == {}
