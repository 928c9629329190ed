"""The path of gradients on an accelerator, walked on the CPU: every tensor says that it lives elsewhere.

A guard stands in for the device: whatever would make the training thread wait for it is an error there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loop_story import ListWriter, batches, ends, make_model, record, rows, scalars
from torch.utils._python_dispatch import TorchDispatchMode

from gradviz.recording.board import GradientBoard
from gradviz.schema import Phase

WAITS = ("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "unique")


class NoWaiting(TorchDispatchMode):
    """Raises on operations that read a value back, on the thread that entered it only."""

    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        assert name.rstrip("_") not in WAITS, f"{name} waits for the device"
        self.calls += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors claim not to be on the CPU, as the recorder asks it."""
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda _: False), raising=False)


def train(*, scale: float | None = None, clip: float | None = None, guard: Any = None) -> ListWriter:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    recorder, writer = record(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
    for i, x in enumerate(batches()):
        loss = model(x).square().mean() / 3
        if guard is None:
            scaler.scale(loss).backward()
        else:
            with guard:
                loss.backward()
        if ends(i):
            if clip is not None:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            if guard is None:
                scaler.step(optimizer)
                scaler.update()
            else:
                with guard:
                    optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    assert writer.errors == []
    return writer


@pytest.mark.parametrize("options", [{}, {"scale": 1024.0}, {"scale": 512.0, "clip": 0.01}], ids=str)
def test_the_story_is_that_of_the_cpu(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    here = train(**options)
    numbers, told = [rows(event) for event in here.events], [scalars(event) for event in here.events]
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda _: False), raising=False)
    there = train(**options)
    assert there.labels() == here.labels()
    for event, sums, said in zip(there.events, numbers, told, strict=True):
        assert callable(event.sums)
        np.testing.assert_allclose(rows(event), sums, rtol=1e-5, atol=1e-12)
        assert scalars(event) == pytest.approx(said, rel=1e-5)


@pytest.mark.usefixtures("elsewhere")
def test_nothing_waits_for_the_device() -> None:
    guard = NoWaiting()
    writer = train(guard=guard)
    assert guard.calls > 0
    assert len(writer.of(Phase.UPDATE)) == 3


@pytest.mark.usefixtures("elsewhere")
def test_the_guard_itself_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    real = GradientBoard.see

    def waits(self: GradientBoard, slot: int, gradient: torch.Tensor) -> None:
        gradient.sum().item()
        real(self, slot, gradient)

    monkeypatch.setattr(GradientBoard, "see", waits)
    with pytest.raises(AssertionError, match="_local_scalar_dense waits for the device"):
        train(guard=NoWaiting())
