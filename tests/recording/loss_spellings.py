"""Ways to write a loss, each with its unreduced elements, and a slow way to see what each element weighs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor], Tensor]

ROWS, CLASSES = 6, 5
_random = torch.Generator().manual_seed(5)
LOGITS = torch.randn(ROWS, CLASSES, generator=_random, dtype=torch.float64)
VALUES = torch.rand(ROWS, CLASSES, generator=_random, dtype=torch.float64) * 0.8 + 0.1
LABELS = torch.tensor([0, 3, 2, 4, 1, 1])
IGNORING = torch.tensor([0, -100, 2, 4, -100, 1])
MASK = torch.tensor([1.0, 0, 1, 1, 0, 1], dtype=torch.float64)
MASK_2D = (VALUES > 0.5).double()
CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25], dtype=torch.float64)
ROW_WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25, 1.5], dtype=torch.float64)
PROBABILITIES = VALUES.softmax(1)
TOKENS_IGNORING = torch.tensor([[0, 1, 2], [3, -100, -100]])


@dataclass(frozen=True)
class Spelling:
    """One way to write a loss: `loss` of [6, 5] values, and its `elements` before any reduction.

    `amp_scale`: what a GradScaler multiplied it by.
    """

    name: str
    loss: Loss
    elements: Loss
    amp_scale: float | None = None


def nll_by_hand(values: Tensor) -> Tensor:
    return -torch.stack([row.log_softmax(0)[label] for row, label in zip(values, LABELS, strict=True)])


def smooth_by_hand(values: Tensor) -> Tensor:
    logs = torch.stack([row.log_softmax(0) for row in values])
    return -0.9 * logs[range(ROWS), LABELS] - 0.1 / CLASSES * logs.sum(1)


def rows_of(unreduced: Loss) -> Loss:
    return lambda values: unreduced(values).sum(1)


def entries_of(unreduced: Loss) -> Loss:
    return lambda values: unreduced(values).reshape(-1)


def kl_by_hand(values: Tensor) -> Tensor:
    return PROBABILITIES * (PROBABILITIES.log() - values.log_softmax(1))


def pixels(values: Tensor) -> Tensor:
    """[2, 5, 3]: a batch of two rows of three pixels with five classes each."""
    return values.reshape(2, 3, CLASSES).transpose(1, 2)


def logistic(values: Tensor) -> Tensor:
    return values.sigmoid()


def criteria() -> Iterator[tuple[str, Any, Loss]]:
    """The elementwise criteria of torch: name, function of (values, reduction), elements by hand."""
    yield "mse", lambda v, **k: F.mse_loss(v, VALUES, **k), lambda v: (v - VALUES) ** 2
    yield "l1", lambda v, **k: F.l1_loss(v, VALUES, **k), lambda v: (v - VALUES).abs()
    yield "huber", lambda v, **k: F.huber_loss(v, VALUES, delta=0.4, **k), _huber
    yield "smooth l1", lambda v, **k: F.smooth_l1_loss(v, VALUES, beta=0.4, **k), lambda v: _huber(v) / 0.4
    yield "bce", lambda v, **k: F.binary_cross_entropy(logistic(v), VALUES, **k), _bce
    yield "bce with logits", lambda v, **k: F.binary_cross_entropy_with_logits(v, VALUES, **k), _bce


def _huber(values: Tensor) -> Tensor:
    error = (values - VALUES).abs()
    return torch.where(error < 0.4, error**2 / 2, 0.4 * (error - 0.2))


def _bce(values: Tensor) -> Tensor:
    return -(VALUES * values.sigmoid().log() + (1 - VALUES) * (1 - values.sigmoid()).log())


def element_weights(spelling: Spelling) -> Tensor:
    """What each element weighs, in float64: d loss = sum of weight x d element, solved for the weights."""
    values = LOGITS.clone().requires_grad_()
    elements = spelling.elements(values)
    slopes = [torch.autograd.grad(e, values, retain_graph=True)[0].flatten() for e in elements]
    (slope,) = torch.autograd.grad(spelling.loss(values), values)
    basis = torch.stack(slopes, 1)
    weights = torch.linalg.pinv(basis) @ slope.flatten()
    assert torch.allclose(basis @ weights, slope.flatten(), atol=1e-9), (
        f"{spelling.name}: not of these elements"
    )
    return (weights / (spelling.amp_scale or 1.0)).abs()
