"""Models, numbers and data with something wrong in them; the loops are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.loops import CLASSES, FEATURES, Batch, endless, mlp, sgd, teacher_data, train, windows

N = 4


def batches(count: int, *, n: int = N, size: int = 16) -> Iterator[list[Batch]]:
    return windows(endless(teacher_data(), size), n, count)


def frozen_body(folder: Path) -> None:
    model = mlp()
    model[0].requires_grad_(False)
    train(folder, model, sgd(model), batches(12))


class Detached(nn.Module):
    """Two branches, one of them cut off from the loss by `detach`."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.cut = nn.Linear(FEATURES, 24), nn.Linear(FEATURES, 24)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.relu(self.kept(inputs)) + self.cut(inputs).detach())
        return scores


def detached_branch(folder: Path) -> None:
    model = Detached()
    train(folder, model, sgd(model), batches(12))


def batchnorm_of_four(folder: Path) -> None:
    model = nn.Sequential(nn.Linear(FEATURES, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, CLASSES))
    train(folder, model, sgd(model), batches(20, size=4))


def nan_in_the_data(folder: Path) -> None:
    model = mlp()

    def poisoned() -> Iterator[list[Batch]]:
        for number, window in enumerate(batches(20)):
            if number == 9:
                window[2][0][0, 0] = float("nan")
            yield window

    train(folder, model, sgd(model), poisoned())


class RootOfZero(nn.Module):
    """The derivative of a square root at 0 is infinite: the loss of an empty row is finite, its gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Linear(FEATURES, 24, bias=False), nn.Linear(24, 24)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.sqrt(torch.abs(self.stem(inputs)))
        scores: Tensor = self.head(torch.relu(self.body(hidden)))
        return scores


def root_of_zero(folder: Path) -> None:
    model = RootOfZero()

    def loop() -> Iterator[list[Batch]]:
        for number, window in enumerate(batches(10)):
            if number == 6:
                window[1][0][3] = 0.0
            yield window

    train(folder, model, sgd(model), loop())


def deep_sigmoid(folder: Path) -> None:
    model = mlp(24, 10, nn.Sigmoid)
    train(folder, model, sgd(model), batches(24))


def deep_and_large(folder: Path) -> None:
    """Ten layers whose initial weights are six times too large."""
    model = mlp(24, 10, nn.ReLU)
    with torch.no_grad():
        for module in model[:-1]:
            if isinstance(module, nn.Linear):
                module.weight.mul_(6)
                module.bias.zero_()
    train(folder, model, sgd(model, 1e-12), batches(24))


def chaotic_tanh(folder: Path) -> None:
    """Twelve layers of tanh with large weights: the forward pass stays bounded, the backward pass does not."""
    model = mlp(48, 12, nn.Tanh)
    with torch.no_grad():
        for module in model[:-1]:
            if isinstance(module, nn.Linear):
                module.weight.mul_(15)
    train(folder, model, sgd(model, 1e-4), batches(24))


def diverging(folder: Path) -> None:
    """Least squares with a learning rate above 2 / curvature: every update overshoots further."""
    model = nn.Linear(FEATURES, 1)
    data = torch.randn(2048, FEATURES), torch.randn(2048)

    def squared(scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.squeeze(-1), targets)

    train(folder, model, sgd(model, 1.2), windows(endless(data, 64), N, 24), loss_of=squared)


def dead_branch(folder: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dead, self.skip = nn.Linear(FEATURES, 24), nn.Linear(FEATURES, 24)
            self.head = nn.Linear(24, CLASSES)
            nn.init.constant_(self.dead.bias, -100.0)

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = self.head(torch.relu(self.dead(inputs)) + torch.tanh(self.skip(inputs)))
            return scores

    model = Net()
    train(folder, model, sgd(model), batches(20))


def dead_half(folder: Path) -> None:
    model = mlp()
    with torch.no_grad():
        model[0].bias[:16] = -100.0
    train(folder, model, sgd(model), batches(20))


def bf16_sums(folder: Path) -> None:
    """Gradients in bfloat16, 400 micro-steps a window, labels that carry no signal."""
    model = mlp(16, 1).bfloat16()
    data = torch.randn(4096, FEATURES).bfloat16(), torch.randint(CLASSES, (4096,))
    train(folder, model, sgd(model, 0.01), windows(endless(data, 8), 400, 4), n=400)


def bf16_weights(folder: Path) -> None:
    model = mlp().bfloat16()
    inputs, labels = teacher_data()
    train(folder, model, sgd(model, 1e-4), windows(endless((inputs.bfloat16(), labels), 16), N, 20))


def spike(folder: Path) -> None:
    model = mlp()

    def loop() -> Iterator[list[Batch]]:
        for number, window in enumerate(batches(60)):
            yield [(inputs * 60, labels) for inputs, labels in window] if number == 45 else window

    train(folder, model, sgd(model, 0.02), loop())


def broken_micro_batches(folder: Path) -> None:
    """Every seventh window after the first 20 has one micro-batch that is 40 times too large."""
    model = mlp()

    def loop() -> Iterator[list[Batch]]:
        for number, window in enumerate(batches(60)):
            if number >= 20 and number % 7 == 0:
                window[1] = (window[1][0] * 40, window[1][1])
            yield window

    train(folder, model, sgd(model, 0.001), loop())


def huge_updates(folder: Path) -> None:
    """A learning rate of 0.5 with decoupled decay: each update takes half of every weight and puts in as much."""
    model = mlp(activation=nn.Tanh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=1.0)
    train(folder, model, optimizer, batches(30))


def tiny_updates(folder: Path) -> None:
    model = mlp()
    train(folder, model, sgd(model, 1e-7), batches(20))


def window_too_large(folder: Path) -> None:
    """Least squares far from its solution: every micro-batch says the same."""
    model = nn.Linear(FEATURES, 1)
    inputs = torch.randn(8192, FEATURES)
    data = inputs, inputs @ torch.full((FEATURES,), 5.0)

    def squared(scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.squeeze(-1), targets)

    train(folder, model, sgd(model, 1e-3), windows(endless(data, 64), 16, 40), n=16, loss_of=squared)


def nearly_all_noise(folder: Path) -> None:
    """A weak signal in 200 dimensions, at a learning rate that does not lose it."""
    model = nn.Linear(200, 1, bias=False)
    nn.init.zeros_(model.weight)
    inputs = torch.randn(16384, 200)
    data = inputs, inputs @ torch.full((200,), 0.02) + 2 * torch.randn(16384)

    def squared(scores: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(scores.squeeze(-1), targets)

    train(folder, model, sgd(model, 1e-5), windows(endless(data, 2), 2, 1500), n=2, loss_of=squared)


def sorted_by_class(folder: Path) -> None:
    """Each micro-batch holds one class only, each window all of them."""
    inputs, labels = teacher_data()
    parts = [inputs[labels == label] for label in range(CLASSES)]
    model = mlp()

    def loop() -> Iterator[list[Batch]]:
        for _ in range(30):
            yield [
                (part[torch.randperm(len(part))[:16]], torch.full((16,), label))
                for label, part in enumerate(parts)
            ]

    train(folder, model, sgd(model, 0.02), loop(), n=CLASSES)
