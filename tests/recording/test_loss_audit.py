"""Spellings of a loss: the audit is right or says that it does not know, and is never wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from loss_catalogue import SPELLINGS
from loss_spellings import LOGITS, PROBABILITIES, Spelling, criteria, element_weights

from gradviz.recording import loss_nodes
from gradviz.recording.loss_audit import LossAudit, audit

UNKNOWN = {
    "ce class weights sum",  # no one number is the weight of an element
    "ce weights of samples",
    "bce weight",
    "bce weight none",
    "root",  # a loss of the reduced loss
    "root, by hand",
    "flooding",
    "one over",
    "squared",
    "product of two",
    "rounded",
    "repeated",
    "spread",
    "two that do not",
    "a part unknown",
}
WITHOUT_COUNT = {  # the weight is known, but not how many elements there are
    *(f"{name} sum / 11" for name, _, _ in criteria()),
    "squares sum / other",
    "two that weigh alike",
    "two micro-batches",
    "two stacked",
    "two stacked, summed",
    "difference",
}


def audited(spelling: Spelling) -> LossAudit:
    return audit(spelling.loss(LOGITS.clone().requires_grad_()), amp_scale=spelling.amp_scale)


def verdict(spelling: Spelling, found: LossAudit) -> str:
    """`right`, `unknown`, `no count` or `wrong`, against what each element of the loss really weighs."""
    weights = element_weights(spelling)
    alive = int((weights > 1e-9).sum())
    whole = float(weights.sum())
    if found == LossAudit():
        return "unknown"
    assert isinstance(found.weight, float)
    if found.elements is None:
        return "no count" if found.weight == pytest.approx(whole / alive, rel=1e-6) else "wrong"
    right = found.elements == alive and found.weight * found.elements == pytest.approx(whole, rel=1e-6)
    return "right" if right else "wrong"


def test_every_spelling_is_read_right_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {spelling.name: verdict(spelling, audited(spelling)) for spelling in SPELLINGS}
    counts = {
        word: sum(v == word for v in verdicts.values()) for word in ("right", "no count", "unknown", "wrong")
    }
    with capsys.disabled():
        print(f"\nlosses audited: {counts}")  # noqa: T201
    assert len(verdicts) == len(SPELLINGS)
    assert {name for name, word in verdicts.items() if word == "wrong"} == set()
    assert {name for name, word in verdicts.items() if word == "unknown"} == UNKNOWN
    assert {name for name, word in verdicts.items() if word == "no count"} == WITHOUT_COUNT


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_a_device_is_not_waited_for(spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every tensor treated as if it were on a device: the same numbers, or unknown, when they are read later."""
    here = audited(spelling)
    monkeypatch.setattr(loss_nodes, "at_hand", lambda tensor: False)
    monkeypatch.setattr(torch.Tensor, "item", _waits)
    later = audited(spelling)
    monkeypatch.undo()
    read = LossAudit(_read(later.weight), later.reduction, _read(later.elements))
    assert read.weight in (None, pytest.approx(here.weight))
    assert read.elements in (None, here.elements)
    assert (read.weight is None) == (here.weight is None)


def _waits(tensor: torch.Tensor) -> float:
    raise AssertionError("a tensor was read")


def _read(number: object) -> object:
    try:
        return number() if callable(number) else number
    except Exception:
        return None


def test_the_smaller_part_of_a_divergence() -> None:
    """Entries of a row of log probabilities depend on each other, so that the slow way cannot tell them apart."""
    values = LOGITS.clone().requires_grad_()
    loss = F.kl_div(values.log_softmax(1), PROBABILITIES, reduction="none").mean() / 4
    assert audit(loss) == LossAudit(pytest.approx(1 / 120), "mean", 30)
