"""A recorder whose events land in a list, and the slow, obvious float64 numbers to hold them against."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gradviz.recording.parameters import find_parameters
from gradviz.recording.recorder import ActiveRecorder
from gradviz.recording.statistics import load_kernels
from gradviz.recording.watching import _attach
from gradviz.schema import EventRecord, Phase, RunState

KERNELS = load_kernels()


class ListWriter:
    """Takes the place of the RunWriter: keeps every event as it was handed over."""

    def __init__(self) -> None:
        self.path = Path("nowhere")
        self.events: list[EventRecord] = []
        self.errors: list[str] = []
        self.facts: dict[str, Any] = {}
        self.state: RunState | None = None
        self.reason: str | None = None
        self.first_event, self.first_update, self.began = 0, 0, time.monotonic()

    def put(self, event: EventRecord) -> bool:
        self.events.append(event)
        return True

    def describe(self, **facts: Any) -> None:
        self.facts.update(facts)

    def note_error(self, text: str) -> None:
        self.errors.append(text)

    def close(self, state: RunState = RunState.FINISHED, *, reason: str | None = None) -> int:
        self.state, self.reason = state, reason
        return 0

    def labels(self) -> list[str]:
        """The story in short: `r0` reset of window 0, `m0.1` a micro-step, `e0.1` an edit, `u0.2` the update."""
        return [label(event) for event in self.events]

    def of(self, phase: Phase) -> list[EventRecord]:
        return [event for event in self.events if event.phase is phase]


def label(event: EventRecord) -> str:
    if event.phase is Phase.RESET:
        return f"r{event.update}"
    return f"{event.phase.name[0].lower()}{event.update}.{event.micro_step}"


def record(model: Any, *optimizers: Any, **options: Any) -> tuple[ActiveRecorder, ListWriter]:
    writer = ListWriter()
    recorder = _attach(find_parameters(model), list(optimizers), writer, **options)  # type: ignore[arg-type]
    return recorder, writer


def rows(event: EventRecord) -> np.ndarray:
    """The sums of an event, fetched if they were on a device."""
    return event.sums() if callable(event.sums) else event.sums


def scalars(event: EventRecord) -> dict[str, float]:
    """The scalars of an event; what cannot be read is left out, as the store does."""
    found = {}
    for name, value in event.scalars.items():
        with suppress(ValueError):
            found[name] = float(value() if callable(value) else value)
    return found


def expected(gradient: torch.Tensor | None) -> np.ndarray:
    """sum |x|, sum x^2, max |x|, non-finite, zeros of a gradient, in plain float64; NONFINITE -1 for None."""
    if gradient is None:
        return np.array([0.0, 0.0, 0.0, -1.0, 0.0])
    dense = gradient.detach().to_dense() if gradient.layout is not torch.strided else gradient.detach()
    wide = dense.to(torch.complex128 if dense.is_complex() else torch.float64).numpy().ravel()
    size = np.abs(wide)
    top = size.max() if size.size else 0.0
    return np.array([size.sum(), (size**2).sum(), top, (~np.isfinite(size)).sum(), (size == 0).sum()])


N, MICRO_STEPS = 3, 7  # two full windows and a short one


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


def batches(count: int = MICRO_STEPS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 5, generator=generator) for _ in range(count)]


def ends(i: int) -> bool:
    return (i + 1) % N == 0 or i + 1 == MICRO_STEPS


def run(body: Callable[[nn.Module, torch.optim.Optimizer], None], **options: Any) -> ListWriter:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer, **options)
    body(model, optimizer)
    recorder.close()
    assert writer.errors == []
    return writer
