"""A training of two windows of two micro-steps, and what a recorder should tell of it."""

from __future__ import annotations

from typing import Any

import torch
from by_hand import micro_gradients
from loop_story import ListWriter, batches, make_model
from torch import nn

RIGHT = "r0 m0.1 m0.2 u0.2 r1 m1.1 m1.2 u1.2 r2"  # two windows of two


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for i, x in enumerate(batches(4)):
        model(x).square().mean().backward()
        if i % 2:
            optimizer.step()
            optimizer.zero_grad()


def story(writer: ListWriter) -> str:
    assert writer.errors == []
    return " ".join(writer.labels())


def twin_story() -> Any:
    """What `train` on `make_model()` should have recorded."""
    twin = make_model()
    return micro_gradients(
        twin.parameters(), [lambda x=x: twin(x).square().mean() for x in batches(4)], window=2
    )
