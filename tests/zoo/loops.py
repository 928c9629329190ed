"""What the trainings of the zoo share: data, models, and the loop as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice, pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gradviz

Batch = tuple[Tensor, Tensor]
FEATURES, CLASSES = 16, 4


def teacher_data(count: int = 2048, *, noise: float = 1.0) -> Batch:
    """Points in 16 dimensions, labelled by a random linear teacher with noise: learnable, never perfectly."""
    inputs = torch.randn(count, FEATURES)
    scores = inputs @ torch.randn(FEATURES, CLASSES) + noise * torch.randn(count, CLASSES)
    return inputs, scores.argmax(dim=1)


def epoch(data: Batch, size: int) -> list[Batch]:
    """Micro-batches of one pass, shuffled; the last one may be short."""
    order = torch.randperm(len(data[0]))
    return [(data[0][part], data[1][part]) for part in order.split(size)]


def endless(data: Batch, size: int) -> Iterator[Batch]:
    """Full micro-batches, pass after pass."""
    while True:
        yield from (batch for batch in epoch(data, size) if len(batch[0]) == size)


def windows(batches: Iterator[Batch], n: int, count: int) -> Iterator[list[Batch]]:
    """`count` windows of n micro-batches."""
    for _ in range(count):
        yield list(islice(batches, n))


def mlp(
    width: int = 32, depth: int = 2, activation: type[nn.Module] = nn.ReLU, features: int = FEATURES
) -> nn.Sequential:
    sizes = [features, *[width] * depth]
    hidden: list[nn.Module] = []
    for before, after in pairwise(sizes):
        hidden += [nn.Linear(before, after), activation()]
    return nn.Sequential(*hidden, nn.Linear(width, CLASSES))


def watched(
    folder: Path, model: nn.Module, optimizer: object = None, *, n: int | None = None, scaler: object = None
) -> AbstractContextManager[gradviz.Recorder]:
    """`gradviz.watch` as the zoo uses it."""
    return gradviz.watch(
        model,
        optimizer,  # type: ignore[arg-type]
        run_dir=folder,
        name="zoo",
        accumulation_steps=n,
        scaler=scaler,
        strict=True,
    )


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr)


def adamw(model: nn.Module, lr: float = 2e-3) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr)


def train(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loop: Iterator[list[Batch]],
    *,
    n: int | None = 4,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    before_update: Callable[[], object] | None = None,
    after_update: Callable[[], object] | None = None,
) -> None:
    """The loop as it should be: each loss divided by the length of its window, one update, one reset."""
    with watched(folder, model, optimizer, n=n):
        for window in loop:
            for inputs, labels in window:
                (loss_of(model(inputs), labels) / len(window)).backward()
            if before_update is not None:
                before_update()
            optimizer.step()
            optimizer.zero_grad()
            if after_update is not None:
                after_update()
