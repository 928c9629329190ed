"""What is trained: small, middling, large, and ready-made gradients that take no computing at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N = 4  # micro-steps a window

LossOf = Callable[[], Tensor]


@dataclass(frozen=True)
class Workload:
    """A model with its loss; `windows` are timed at a stretch, stretches for `seconds` a round, at least one."""

    name: str
    make: Callable[[], tuple[nn.Module, LossOf]]
    windows: int
    seconds: float = 2.0


class Training:
    """One model in training, window by window."""

    def __init__(self, workload: Workload) -> None:
        torch.manual_seed(0)
        self.model, self.loss_of = workload.make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def windows(self, count: int, after: Callable[[], None]) -> None:
        """Train `count` windows of `N` micro-steps; `after` each backward comes a recorder."""
        for _ in range(count):
            for _ in range(N):
                (self.loss_of() / N).backward()
                after()
            self.optimizer.step()
            self.optimizer.zero_grad()


def mlp() -> tuple[nn.Module, LossOf]:
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    images, labels = torch.randn(64, 784), torch.randint(10, (64,))
    return model, lambda: F.cross_entropy(model(images), labels)


class Block(nn.Module):
    """Two convolutions with batch norms, and a short cut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.one = _convolution(before, after, 3, stride)
        self.two = _convolution(after, after, 3, 1)
        same = stride == 1 and before == after
        self.short = nn.Identity() if same else _convolution(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.two(F.relu(self.one(x))) + self.short(x))


def _convolution(before: int, after: int, size: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after))


def resnet() -> tuple[nn.Module, LossOf]:
    """ResNet-18 as it is for ImageNet, on pictures of 32 x 32."""
    widths = [64, 64, 128, 256, 512]
    blocks = [
        block
        for stage, (before, after) in enumerate(pairwise(widths))
        for block in (Block(before, after, 2 if stage else 1), Block(after, after, 1))
    ]
    stem = nn.Sequential(_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    model = nn.Sequential(stem, *blocks, head)
    images, labels = torch.randn(16, 3, 32, 32), torch.randint(10, (16,))
    return model, lambda: F.cross_entropy(model(images), labels)


class GPT(nn.Module):
    """Six pre-norm blocks of width 384, a table of 5,000 words and a head of its own."""

    def __init__(self, words: int = 5000, width: int = 384) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width)
        block = nn.TransformerEncoderLayer(
            width, 6, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(width)
        self.blocks = nn.TransformerEncoder(block, 6, norm=norm, enable_nested_tensor=False)
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(codes.shape[1])
        scores: Tensor = self.head(self.blocks(self.table(codes), mask=mask, is_causal=True))
        return scores


def gpt() -> tuple[nn.Module, LossOf]:
    model, codes = GPT(), torch.randint(5000, (2, 128))
    return model, lambda: F.cross_entropy(model(codes).flatten(0, 1), codes.flatten())


class ReadyGradients(torch.autograd.Function):
    """Hands out ready-made gradients, as if they had just been computed."""

    @staticmethod
    def forward(ctx: object, ready: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.ready = ready  # type: ignore[attr-defined]
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: object, _gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.ready)  # type: ignore[attr-defined]


def gradients_only() -> tuple[nn.Module, LossOf]:
    """The gradients of the GPT without its computing: what a recorder itself costs stands out."""
    model = GPT()
    parameters = list(model.parameters())
    ready = [torch.randn_like(parameter) for parameter in parameters]
    return model, lambda: ReadyGradients.apply(ready, *parameters)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("MLP", mlp, windows=10),
        Workload("ResNet", resnet, windows=1),
        Workload("GPT", gpt, windows=1, seconds=0),
        Workload("gradients only", gradients_only, windows=2),
    )
}
