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
from gradviz.recording.loss_usual import audited, mean_cross_entropy


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_as_the_walk_sees_it(spelling: Spelling) -> None:
    loss = spelling.loss(LOGITS.clone().requires_grad_())
    assert audited(loss, None, None) == pytest.approx(audit(loss).scalars(), rel=1e-12)


@pytest.mark.parametrize(
    ("factor", "weight"),
    [(lambda loss: loss, 1 / 6), (lambda loss: loss / 4, 1 / 24), (lambda loss: -2 * (loss / 3), 1 / 9)],
)
def test_it_is_the_commonest_loss(factor: Callable[[Tensor], Tensor], weight: float) -> None:
    loss = factor(F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS))
    assert mean_cross_entropy(loss) == (pytest.approx(weight), 6)


def test_no_target_counts() -> None:
    loss = F.cross_entropy(LOGITS.clone().requires_grad_(), torch.full((6,), -100))
    assert mean_cross_entropy(loss) is None


def test_saved_tensors_with_hooks_are_left_alone() -> None:
    """To read one would be to run a user's code."""
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, _unpacked):
        loss = F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS)
    assert mean_cross_entropy(loss) is mean_cross_entropy(loss / 4) is None
    assert audited(loss / 4, None, None) == {}


def _unpacked(_: Tensor) -> Tensor:
    raise AssertionError("a saved tensor was read")


def test_a_graph_that_is_gone() -> None:
    loss = F.cross_entropy(LOGITS.clone().requires_grad_(), LABELS) / 4
    loss.backward()
    assert audited(loss, None, None) == {}
