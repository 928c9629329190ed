"""Trainings of many kinds with nothing wrong in them: none may raise a warning or an error."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.healthy_models import (
    LENGTH,
    VOCABULARY,
    Bag,
    Convolutional,
    Recurrent,
    Residual,
    Transformer,
)
from tests.zoo.loops import (
    CLASSES,
    FEATURES,
    Batch,
    adamw,
    endless,
    epoch,
    mlp,
    sgd,
    teacher_data,
    train,
    watched,
    windows,
)

TRAININGS: list[Callable[[Path], None]] = []


def healthy(training: Callable[[Path], None]) -> Callable[[Path], None]:
    """List a training."""
    TRAININGS.append(training)
    return training


def batches(n: int, count: int, size: int = 16) -> Iterator[list[Batch]]:
    return windows(endless(teacher_data(), size), n, count)


@healthy
def mlp_under_sgd(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model), batches(4, 60))


@healthy
def mlp_under_adamw(folder: Path) -> None:
    model = mlp()
    train(folder, model, adamw(model), batches(4, 60))


@healthy
def one_micro_step(folder: Path) -> None:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    train(folder, model, optimizer, batches(1, 150), n=1)


@healthy
def two_micro_steps(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model), batches(2, 80), n=2)


@healthy
def three_micro_steps(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model), batches(3, 60), n=3)


@healthy
def eight_micro_steps(folder: Path) -> None:
    model = mlp()
    train(folder, model, adamw(model), batches(8, 40), n=8)


@healthy
def thirty_two_micro_steps(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model), batches(32, 20, size=8), n=32)


@healthy
def windows_of_many_lengths(folder: Path) -> None:
    model = mlp()
    source = endless(teacher_data(), 16)
    loop = (list(islice(source, int(torch.randint(1, 7, ())))) for _ in range(60))
    train(folder, model, sgd(model), loop, n=None)


@healthy
def short_last_window(folder: Path) -> None:
    """22 micro-batches an epoch in windows of 4, the last one divided by its own length."""
    model, data = mlp(), teacher_data(22 * 16)

    def loop() -> Iterator[list[Batch]]:
        for _ in range(10):
            rest = iter(epoch(data, 16))
            while window := list(islice(rest, 4)):
                yield window

    train(folder, model, sgd(model), loop())


@healthy
def counter_over_epochs(folder: Path) -> None:
    """Windows span epochs, the learning rate changes once an epoch, and the last micro-batch of each is short."""
    model, data = mlp(), teacher_data(350)
    optimizer = sgd(model)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    micro_steps = 0
    with watched(folder, model, optimizer, n=4):
        for _ in range(10):
            for inputs, labels in epoch(data, 16):
                (F.cross_entropy(model(inputs), labels) / 4).backward()
                micro_steps += 1
                if micro_steps % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
            scheduler.step()


@healthy
def schedule_once_an_update(folder: Path) -> None:
    model = mlp()
    optimizer = adamw(model)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=60)
    train(folder, model, optimizer, batches(4, 60), after_update=scheduler.step)


@healthy
def clipped_now_and_then(folder: Path) -> None:
    model = mlp()

    def clip() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    train(folder, model, adamw(model), batches(4, 60), before_update=clip)


@healthy
def gradients_divided_by_hand(folder: Path) -> None:
    model = mlp()
    optimizer = sgd(model)
    with watched(folder, model, optimizer, n=4):
        for window in batches(4, 40):
            for inputs, labels in window:
                F.cross_entropy(model(inputs), labels).backward()
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad.div_(4)
            optimizer.step()
            optimizer.zero_grad()


def sequences(count: int = 256) -> Tensor:
    """Sequences that count up modulo the vocabulary, in steps of 1 or 2, with some noise."""
    start, pace = torch.randint(VOCABULARY, (count, 1)), torch.randint(1, 3, (count, 1))
    tokens = (start + pace * torch.arange(LENGTH + 1)) % VOCABULARY
    noisy = torch.rand(tokens.shape) < 0.1
    return torch.where(noisy, torch.randint(VOCABULARY, tokens.shape), tokens)


def language(scores: Tensor, tokens: Tensor) -> Tensor:
    return F.cross_entropy(scores.flatten(0, 1), tokens.flatten())


def sentences(n: int, count: int, size: int = 8) -> Iterator[list[Batch]]:
    tokens = sequences()
    return windows(endless((tokens[:, :-1], tokens[:, 1:]), size), n, count)


@healthy
def transformer(folder: Path) -> None:
    model = Transformer()
    train(folder, model, adamw(model), sentences(4, 40), loss_of=language)


@healthy
def transformer_with_dropout_and_tied_head(folder: Path) -> None:
    model = Transformer(dropout=0.1, tied=True)
    train(folder, model, adamw(model, 1e-3), sentences(4, 40), loss_of=language)


@healthy
def recurrent(folder: Path) -> None:
    model = Recurrent()
    train(folder, model, adamw(model, 5e-3), sentences(4, 50), loss_of=language)


@healthy
def tokens_divided_by_those_of_the_window(folder: Path) -> None:
    """Unequal lengths, each loss summed and divided by the tokens of the whole window."""
    model = nn.Sequential(nn.Embedding(20, 24), nn.Linear(24, 20))
    optimizer = adamw(model)
    with watched(folder, model, optimizer, n=4):
        for _ in range(40):
            window = [torch.randint(20, (4, int(torch.randint(2, 40, ())))) for _ in range(4)]
            total = sum(tokens.numel() for tokens in window)
            for tokens in window:
                scores = model(tokens).flatten(0, 1)
                targets = tokens.flatten().add(1).remainder(20)
                (F.cross_entropy(scores, targets, reduction="sum") / total).backward()
            optimizer.step()
            optimizer.zero_grad()


@functools.cache
def digits() -> Batch:
    pictures = load_digits()
    return torch.tensor(pictures.images, dtype=torch.float32)[:, None] / 16, torch.tensor(pictures.target)


@healthy
def convolutions(folder: Path) -> None:
    model = Convolutional("group")
    train(folder, model, adamw(model), windows(endless(digits(), 16), 4, 40))


@healthy
def batchnorm_with_large_batches(folder: Path) -> None:
    model = Convolutional("batch")
    train(folder, model, adamw(model), windows(endless(digits(), 64), 2, 40), n=2)


@healthy
def embedding_bag(folder: Path) -> None:
    model = Bag(sparse=False)
    data = torch.randint(400, (1024, 6)), torch.randint(CLASSES, (1024,))
    train(folder, model, adamw(model), windows(endless(data, 16), 4, 40))


@healthy
def sparse_embedding(folder: Path) -> None:
    model = Bag(sparse=True)
    data = torch.randint(400, (1024, 6)), torch.randint(CLASSES, (1024,))
    train(folder, model, sgd(model, 0.5), windows(endless(data, 16), 4, 40))


@healthy
def dropout(folder: Path) -> None:
    model = nn.Sequential(
        nn.Linear(FEATURES, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )
    train(folder, model, adamw(model), batches(4, 60))


@healthy
def residual(folder: Path) -> None:
    model = Residual()
    train(folder, model, adamw(model), batches(4, 40))


@healthy
def stochastic_depth(folder: Path) -> None:
    model = Residual(drop=0.4)
    train(folder, model, adamw(model), batches(4, 40))


@healthy
def checkpointed(folder: Path) -> None:
    model = Residual(depth=3, checkpointed=True)
    train(folder, model, adamw(model), batches(4, 20))


@healthy
def deep_relu(folder: Path) -> None:
    model = mlp(48, 10)
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    train(folder, model, adamw(model, 1e-3), batches(4, 50))
