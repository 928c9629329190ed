"""The same training without a recorder: what every gradient must have been, one `autograd.grad` at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from loop_story import ListWriter, expected, rows
from torch import Tensor

from gradviz.schema import MICRO_L1, MICRO_NONFINITE, NONFINITE, EventRecord, Phase

Gradients = list[Tensor | None]


def micro_gradients(
    parameters: Iterable[Tensor], losses: Iterable[Callable[[], Tensor]], *, window: int, lr: float = 0.1
) -> list[tuple[Gradients, Gradients]]:
    """g_k and G_k of each loss, with a plain SGD update after each `window` of them."""
    parameters, story = list(parameters), []
    sums: Gradients = [None] * len(parameters)
    for i, loss in enumerate(losses):
        own = list(torch.autograd.grad(loss(), parameters, allow_unused=True))
        sums = [g if big is None else big if g is None else big + g for g, big in zip(own, sums, strict=True)]
        story.append((own, sums))
        if (i + 1) % window == 0:
            with torch.no_grad():
                for parameter, big in zip(parameters, sums, strict=True):
                    if big is not None:
                        parameter -= lr * big
            sums = [None] * len(parameters)
    return story


def assert_event(event: EventRecord, accumulated: Gradients, own: Gradients | None = None) -> None:
    """The numbers of an event are those of the gradients, in float64; `own` is not looked at where None."""
    for row, gradient in zip(rows(event), accumulated, strict=True):
        np.testing.assert_allclose(row[: NONFINITE + 1], expected(gradient)[:4], rtol=1e-6, atol=1e-12)
    for row, gradient in zip(rows(event), own, strict=True) if own is not None else ():
        np.testing.assert_allclose(
            row[MICRO_L1 : MICRO_NONFINITE + 1], expected(gradient)[:4], rtol=1e-6, atol=1e-12
        )


def assert_micro_steps(
    writer: ListWriter, story: list[tuple[Gradients, Gradients]], *, own_known: bool = True
) -> None:
    """Each micro-step of the run has the numbers of `micro_gradients`."""
    for event, (own, accumulated) in zip(writer.of(Phase.MICRO_STEP), story, strict=True):
        assert_event(event, accumulated, own if own_known else None)
