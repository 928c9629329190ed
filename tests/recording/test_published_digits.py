"""The examples of Accelerate's guide to gradient accumulation, with unequal numbers of tokens: its printed weights.

Source: huggingface.co/docs/accelerate/usage_guides/gradient_accumulation, "Gradient accumulation on training
samples of variable size": texts of 1, 2, 3, ... tokens, a linear model, SGD at 0.08, seed 0.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradviz
from gradviz.recording.loss_audit import audit

IGNORED = -100.0
PUBLISHED_START = [-0.0075, 0.5364]
PUBLISHED = [  # texts, texts a micro-batch, tokens that count, weights after one update
    (8, 4, 36, [0.0953, 0.4337]),
    (16, 4, 136, [0.2117, 0.3172]),
]


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 2, bias=False)


def padded(first: int, last: int) -> tuple[Tensor, Tensor]:
    """Texts of `first` to `last` tokens 1, 2, 3, ...; the label of a token is whether it is odd."""
    texts = [torch.arange(1, length + 1, dtype=torch.float32) for length in range(first, last + 1)]
    tokens = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=IGNORED)
    labels = torch.where(tokens == IGNORED, tokens, tokens.remainder(2))
    return tokens[..., None], labels.long().flatten()


def loss_of(model: nn.Module, tokens: Tensor, labels: Tensor, reduction: str) -> Tensor:
    return F.cross_entropy(model(tokens).view(-1, 2), labels, reduction=reduction)


def updated(model: nn.Linear) -> list[float]:
    torch.optim.SGD(model.parameters(), lr=0.08).step()
    return [round(weight, 4) for weight in model.weight.flatten().tolist()]


@pytest.mark.parametrize(("texts", "batch", "counted", "published"), PUBLISHED)
def test_the_published_weights(texts: int, batch: int, counted: int, published: list[float]) -> None:
    parts = [padded(first, first + batch - 1) for first in range(1, texts + 1, batch)]
    items = sum(int((labels != IGNORED).sum()) for _, labels in parts)
    assert items == counted
    model, whole = linear(), padded(1, texts)
    audits = []

    def window() -> None:
        for tokens, labels in parts:
            loss = loss_of(model, tokens, labels, "sum") / items
            audits.append(audit(loss))
            loss.backward()

    def means() -> None:
        for tokens, labels in parts:
            (loss_of(model, tokens, labels, "mean") / len(parts)).backward()

    def at_once() -> None:
        loss_of(model, *whole, "mean").backward()

    assert [round(weight, 4) for weight in model.weight.flatten().tolist()] == PUBLISHED_START
    report = gradviz.verify_accumulation(model, window, at_once)
    assert report.ok
    assert sum(one.weight * one.elements for one in audits) == pytest.approx(1)
    assert {one.weight for one in audits} == {1 / items}
    window()
    assert updated(model) == published
    model = linear()
    at_once()
    assert updated(model) == published
    model = linear()
    wrong = gradviz.verify_accumulation(model, means, at_once)
    assert [cause.code for cause in wrong.causes] == ["unequal-tokens"]
    assert wrong.causes[0].evidence["elements"] == [int((labels != IGNORED).sum()) for _, labels in parts]
    means()
    assert updated(model) != published


def test_the_same_with_accelerate_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerate = pytest.importorskip("accelerate")
    texts, batch, items, published = PUBLISHED[0]
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = accelerator.prepare(linear())

    def window() -> None:
        for tokens, labels in [padded(1, batch), padded(batch + 1, texts)]:
            accelerator.backward(loss_of(model, tokens, labels, "sum") * 2 / items)  # it divides by 2 again

    report = gradviz.verify_accumulation(
        model, window, lambda: loss_of(model, *padded(1, texts), "mean").backward()
    )
    assert report.ok
    window()
    assert updated(model) == published
