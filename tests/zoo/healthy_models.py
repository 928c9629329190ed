"""Models of many kinds that train as they should."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.zoo.loops import CLASSES, FEATURES

VOCABULARY, LENGTH = 24, 12


class Residual(nn.Module):
    """Residual blocks; with `drop` each is left out at random in training (stochastic depth)."""

    def __init__(
        self, depth: int = 6, width: int = 32, drop: float = 0.0, checkpointed: bool = False
    ) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(FEATURES, width), nn.Linear(width, CLASSES)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.drop, self.checkpointed = drop, checkpointed

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.stem(inputs)
        for block in self.blocks:
            if self.training and self.drop and torch.rand(()) < self.drop:
                continue
            hidden = hidden + (
                checkpoint(block, hidden, use_reentrant=False) if self.checkpointed else block(hidden)
            )
        scores: Tensor = self.head(hidden)
        return scores


class Transformer(nn.Module):
    """A causal transformer over a small vocabulary; its head shares the embedding's weight if `tied`."""

    def __init__(self, width: int = 32, depth: int = 2, dropout: float = 0.0, tied: bool = False) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        block = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=dropout, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        if tied:
            nn.init.normal_(self.token.weight, std=0.1)
            self.head.weight = self.token.weight

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        hidden = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        scores: Tensor = self.head(self.blocks(hidden, mask=mask, is_causal=True))
        return scores


class Recurrent(nn.Module):
    """A GRU that reads a sequence and predicts its next token."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.cell = nn.Embedding(VOCABULARY, 24), nn.GRU(24, 32, batch_first=True)
        self.head = nn.Linear(32, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.cell(self.token(tokens))[0])
        return scores


class Convolutional(nn.Module):
    """Three convolutions over 8 x 8 pictures, with the given normalisation."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for before, after in ((1, 16), (16, 16), (16, 32)):
            normal = nn.BatchNorm2d(after) if norm == "batch" else nn.GroupNorm(4, after)
            parts += [nn.Conv2d(before, after, 3, padding=1), normal, nn.ReLU()]
        self.body, self.head = nn.Sequential(*parts), nn.Linear(32, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(pictures).mean(dim=(2, 3)))
        return scores


class Bag(nn.Module):
    """An embedding bag over a vocabulary of which most words are rare."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.words, self.head = nn.EmbeddingBag(400, 16, sparse=sparse), nn.Linear(16, CLASSES)

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.words(words))
        return scores


class Adapter(nn.Module):
    """A frozen layer with a trained low-rank addition that begins at zero (LoRA)."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        return F.linear(F.linear(inputs, self.down), self.up) + self.base(inputs)
