"""The short look at the commonest loss sees what the walk through the graph sees, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from loss_catalogue import SPELLINGS
from loss_spellings import LABELS, LOGITS, Spelling
from torch import Tensor

from gradviz.recording import loss_audit
from gradviz.recording.loss_audit import audit
from gradviz.recording.loss_usual import mean_cross_entropy


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_as_the_walk_sees_it(spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = spelling.loss(LOGITS.clone().requires_grad_())
    found = audit(loss)
    monkeypatch.setattr(loss_audit, "mean_cross_entropy", lambda _: None)
    assert found == audit(loss)


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
