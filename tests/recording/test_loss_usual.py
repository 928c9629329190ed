"""The short look at the commonest loss sees what the walk through the graph sees, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from loss_catalogue import SPELLINGS
from loss_spellings import LABELS, LOGITS, Spelling
from torch import Tensor

from gradviz.recording.loss_audit import audit
from gradviz.recording.loss_usual import loss_scalars, mean_cross_entropy
from gradviz.recording.scalars import loss_of


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_as_the_walk_sees_it(spelling: Spelling) -> None:
    loss = spelling.loss(LOGITS.clone().requires_grad_())
    expected = loss_of(loss, None) | audit(loss).scalars()
    assert loss_scalars(loss, None, None) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("factor", "weight"),
    [(lambda loss: loss, 1 / 6), (lambda loss: loss / 4, 1 / 24), (lambda loss: -2 * (loss / 3), 1 / 9)],
)
def test_it_is_the_commonest_loss(factor: Callable[[Tensor], Tensor], weight: float) -> None:
    loss = factor(F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS))
    expected = {"loss": loss.item(), "loss_weight": weight, "loss_reduction": 1, "loss_elements": 6}
    assert mean_cross_entropy(loss) == pytest.approx(expected)


def test_no_target_counts() -> None:
    loss = F.cross_entropy(LOGITS.clone().requires_grad_(), torch.full((6,), -100))
    assert mean_cross_entropy(loss) is None


def test_saved_tensors_with_hooks_are_left_alone() -> None:
    """To read one would be to run a user's code."""
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, _unpacked):
        loss = F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS)
    assert mean_cross_entropy(loss) is mean_cross_entropy(loss / 4) is None
    assert loss_scalars(loss / 4, None, None) == {"loss": loss.item() / 4}


def _unpacked(_: Tensor) -> Tensor:
    raise AssertionError("a saved tensor was read")


def test_a_graph_that_is_gone() -> None:
    loss = F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS) / 4
    loss.backward()
    assert loss_scalars(loss, None, None) == {"loss": loss.item()}
