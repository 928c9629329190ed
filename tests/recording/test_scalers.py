"""Scalers beside torch's own: FSDP's, a subclass made while a recorder listens, one scaler for two optimizers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import ListWriter, batches, expected, make_model, record, rows
from torch import distributed, nn
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from gradviz.schema import L1, MICRO_L1, NONFINITE, STEP_SQUARES, WEIGHT_SQUARES, Phase

SCALE = 1024.0


@pytest.fixture
def _group() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def train(scaler: Any, *, given: bool = False) -> ListWriter:
    """Three windows of two; the first micro-batch of the second one overflows."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer, scaler=scaler if given else None)
    for i, x in enumerate(batches(6)):
        loss = model(x * (float("inf") if i == 2 else 1.0)).square().mean() / 2
        scaler.scale(loss).backward()
        if i % 2:
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    recorder.close()
    assert writer.errors == []
    return writer


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("given", [False, True])
def test_the_scaler_of_fsdp_is_noticed_as_any_other(given: bool) -> None:
    scaler, usual = (
        make("cpu", init_scale=SCALE, growth_interval=10**6)
        for make in (ShardedGradScaler, torch.amp.GradScaler)
    )
    sharded = train(scaler, given=given)
    plain = train(usual)
    assert sharded.labels() == plain.labels()
    for ours, theirs in zip(sharded.events, plain.events, strict=True):
        np.testing.assert_array_equal(rows(ours)[:, :WEIGHT_SQUARES], rows(theirs)[:, :WEIGHT_SQUARES])
        assert ours.scalars.keys() == theirs.scalars.keys()
        loss, usual_loss = (event.scalars.get("loss", 0.0) for event in (ours, theirs))
        np.testing.assert_array_equal(loss, usual_loss)  # the one that overflowed is NaN
    assert [event.scalars["skipped"] for event in sharded.of(Phase.UPDATE)] == [0.0, 1.0, 0.0]
    scales = [event.scalars["amp_scale"] for event in sharded.of(Phase.MICRO_STEP)]
    assert scales == [SCALE] * 4 + [SCALE / 2] * 2


def test_a_kind_of_scaler_that_is_made_while_a_recorder_listens() -> None:
    model = make_model()
    recorder, writer = record(model)

    class Late(torch.amp.GradScaler):
        def scale(self, outputs: Any) -> Any:
            super().scale(outputs)
            return outputs * self._scale

    before = Late.scale
    loss = model(batches(1)[0]).square().mean()
    Late("cpu", init_scale=SCALE).scale(loss).backward()
    recorder.close()
    assert Late.scale is before, "with the last recorder it is as it was"
    (event,) = writer.of(Phase.MICRO_STEP)
    assert (event.scalars["loss"], event.scalars["amp_scale"]) == (pytest.approx(loss.item()), SCALE)
    truth = [expected(p.grad)[0] / SCALE for p in model.parameters()]
    np.testing.assert_allclose(rows(event)[:, 0], truth, rtol=1e-6)


def test_one_of_two_optimizers_is_refused() -> None:
    """They share a scaler, and only the second layer's gradient overflows."""
    model = make_model()
    first, second = (torch.optim.SGD(model[i].parameters(), lr=0.1) for i in (0, 2))
    recorder, writer = record(model, first, second)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=10**6)
    for window, x in enumerate(batches(3)):
        scaler.scale(model(x).square().mean()).backward()
        if window == 1:
            model[2].bias.grad[0] = float("inf")
        before = [p.detach().clone() for p in model.parameters()]
        scaler.step(first)
        scaler.step(second)
        moved = [not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)]
        assert moved == [True, True, window != 1, window != 1]
        scaler.update()
        first.zero_grad()
        second.zero_grad()
    recorder.close()
    assert writer.errors == []
    assert writer.labels() == [
        "r0",
        "m0.1",
        "u0.1",
        "u0.1",
        "r1",
        "m1.1",
        "u1.1",
        "u1.1",
        "r2",
        "m2.1",
        "u2.1",
        "u2.1",
        "r3",
    ]
    updates = writer.of(Phase.UPDATE)
    assert [list(update.layer_ids) for update in updates] == [[0, 1], [2, 3]] * 3
    assert [update.scalars["skipped"] for update in updates] == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    happened, refused = rows(updates[2]), rows(updates[3])
    assert (happened[:, STEP_SQUARES] > 0).all()
    assert np.isnan(refused[:, STEP_SQUARES]).all(), "it took no step"
    assert refused[:, NONFINITE].tolist() == [0, 1]


# ---- what is made of a scaled loss before its backward ----


def loss_of(model: nn.Module, number: int) -> torch.Tensor:
    loss: torch.Tensor = model(batches(2)[number]).square().mean()
    return loss


Change = Callable[[torch.Tensor], torch.Tensor]
CHANGES: dict[str, Change] = {
    "divided": lambda loss: loss / 4,
    "divided in place": lambda loss: loss.div_(4),
    "by a tensor": lambda loss: loss * torch.tensor(0.25),
    "added to": lambda loss: (loss + 0 * loss).sum() / 4,
    "in a list": lambda loss: [loss / 4],  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_two_scaled_losses_that_are_changed_before_their_backward(change: Change, order: list[int]) -> None:
    model, twin = make_model(), make_model()
    recorder, writer = record(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    scaled = [change(scaler.scale(loss_of(model, number))) for number in (0, 1)]
    for number in order:
        torch.autograd.backward(scaled[number])
    recorder.close()
    for number, event in zip(order, writer.of(Phase.MICRO_STEP), strict=True):
        loss = loss_of(twin, number) / 4
        truth = [expected(g) for g in torch.autograd.grad(loss, list(twin.parameters()))]
        np.testing.assert_allclose(rows(event)[:, MICRO_L1], [one[0] for one in truth], rtol=1e-5)
        assert event.scalars["amp_scale"] == SCALE
        assert event.scalars["loss"] == pytest.approx(loss.item(), rel=1e-6)
        assert event.scalars["loss_weight"] == pytest.approx(1 / 8 / 4, rel=1e-6)


def test_a_plain_loss_between_a_scaled_one_and_its_backward() -> None:
    model, twin = make_model(), make_model()
    recorder, writer = record(model)
    scaled = torch.amp.GradScaler("cpu", init_scale=SCALE).scale(loss_of(model, 0)) / 4
    loss_of(model, 1).backward()
    scaled.backward()
    recorder.close()
    plain, late = writer.of(Phase.MICRO_STEP)
    assert ("amp_scale" in plain.scalars, late.scalars["amp_scale"]) == (False, SCALE)
    for event, loss in ((plain, loss_of(twin, 1)), (late, loss_of(twin, 0) / 4)):
        truth = [expected(g) for g in torch.autograd.grad(loss, list(twin.parameters()))]
        np.testing.assert_allclose(rows(event)[:, MICRO_L1], [one[0] for one in truth], rtol=1e-5)
        assert event.scalars["loss"] == pytest.approx(loss.item(), rel=1e-6)


def test_a_stranger_s_backward_does_not_change_the_scale_of_what_stands() -> None:
    """Between our backward and our step another model's loss is scaled, by another scaler."""
    model, stranger = make_model(), make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    ours, its = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in (SCALE, 8.0))
    for number in (0, 1):
        ours.scale(loss_of(model, number)).backward()
        its.scale(loss_of(stranger, number)).backward()
    model[0].bias.grad = None  # an edit, which shows what stands in `p.grad`
    loss_of(stranger, 0).backward()
    ours.scale(loss_of(model, 0)).backward()
    ours.step(optimizer)
    recorder.close()
    assert [event.scalars["amp_scale"] for event in writer.of(Phase.UPDATE)] == [SCALE]
    before, (edit,) = writer.of(Phase.MICRO_STEP)[1], writer.of(Phase.EDIT)
    np.testing.assert_array_equal(rows(edit)[[0, 2, 3], L1], rows(before)[[0, 2, 3], L1])


def test_a_mark_keeps_no_graph_alive() -> None:
    model = make_model()
    recorder, _ = record(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    inner = model(batches(1)[0])
    gone = weakref.ref(inner)
    scaled = scaler.scale(inner.sum()) / 2
    del inner, scaled
    assert gone() is None
    recorder.close()
