"""`torch.amp.autocast`, with a `GradScaler` and without: the numbers of the same training by hand."""

from __future__ import annotations

import pytest
import torch
from by_hand import Gradients, assert_event, assert_micro_steps, micro_gradients
from loop_story import batches, make_model, record, scalars
from torch import nn
from two_windows import RIGHT, story

from gradviz.schema import Phase

WINDOW, LR = 2, 0.1


def loss_of(model: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    with torch.autocast("cpu", dtype=dtype):
        out = model(x)
        assert out.dtype is dtype
        loss: torch.Tensor = out.float().square().mean() / WINDOW
    return loss


def by_hand(dtype: torch.dtype, scale: float) -> list[tuple[Gradients, Gradients]]:
    """Gradients of the scaled loss, divided by the scale; a power of two, which rounds nothing."""
    twin = make_model()
    losses = [lambda x=x: loss_of(twin, x, dtype) * scale for x in batches(4)]
    told = micro_gradients(twin.parameters(), losses, window=WINDOW, lr=LR / scale)
    return [
        ([g / scale for g in own if g is not None], [g / scale for g in accumulated if g is not None])
        for own, accumulated in told
    ]


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 2.0**14), (torch.bfloat16, 1.0)])
def test_every_number_under_autocast(dtype: torch.dtype, scale: float, unscale: bool) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    recorder, writer = record(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale > 1)
    for i, x in enumerate(batches(4)):
        scaler.scale(loss_of(model, x, dtype)).backward()
        if (i + 1) % WINDOW == 0:
            if unscale:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    recorder.close()
    assert story(writer) == RIGHT
    expected = by_hand(dtype, scale)
    assert_micro_steps(writer, expected)
    for update, (_, accumulated) in zip(writer.of(Phase.UPDATE), expected[WINDOW - 1 :: WINDOW], strict=True):
        assert_event(update, accumulated)
        assert scalars(update).get("skipped") == (0.0 if scale > 1 else None)
    scales = [scalars(event).get("amp_scale") for event in writer.of(Phase.MICRO_STEP)]
    assert scales == [scale if scale > 1 else None] * 4


def test_half_parameters_under_autocast() -> None:
    """Gradients are as coarse as `p.grad` is, and added up in it."""
    model, twin = (make_model().to(torch.bfloat16) for _ in range(2))
    recorder, writer = record(model)
    for x in batches(4):
        loss_of(model, x, torch.bfloat16).backward()
    recorder.close()
    assert story(writer) == "r0 m0.1 m0.2 m0.3 m0.4"
    losses = [lambda x=x: loss_of(twin, x, torch.bfloat16) for x in batches(4)]
    assert_micro_steps(writer, micro_gradients(twin.parameters(), losses, window=4))
    assert {layer.dtype for layer in recorder.watched.layers} == {"bfloat16"}
