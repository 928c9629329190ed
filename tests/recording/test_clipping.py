"""Clipping: before it at the last micro-step, after it at the update, and the factor between the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from loop_story import batches, ends, expected, make_model, record, rows, scalars
from torch import nn

from gradviz.schema import SQUARES, Phase

Clip = Callable[[Iterable[nn.Parameter]], object]


def by_hand(parameters: Iterable[nn.Parameter]) -> None:
    for p in parameters:
        if p.grad is not None:
            p.grad.div_(3)


CLIPS: dict[str, Clip] = {
    "norm": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.02),
    "norm, each": lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.02, foreach=False),
    "value": lambda parameters: nn.utils.clip_grad_value_(parameters, 1e-3),
    "by hand": by_hand,
    "nothing to clip": lambda parameters: nn.utils.clip_grad_norm_(parameters, 1e6),
}


@pytest.mark.parametrize("name", CLIPS)
def test_before_and_after_a_layer_and_in_total(name: str) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    before, after = [], []
    for i, x in enumerate(batches()):
        model(x).square().mean().backward()
        if ends(i):
            before.append(np.array([expected(p.grad) for p in model.parameters()]))
            CLIPS[name](model.parameters())
            after.append(np.array([expected(p.grad) for p in model.parameters()]))
            optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    assert writer.labels() == [
        *(
            "r0",
            "m0.1",
            "m0.2",
            "m0.3",
            "u0.3",
            "r1",
            "m1.1",
            "m1.2",
            "m1.3",
            "u1.3",
            "r2",
            "m2.1",
            "u2.1",
            "r3",
        )
    ]
    last = [writer.events[place - 1] for place, e in enumerate(writer.events) if e.phase is Phase.UPDATE]
    for micro, update, was, became in zip(last, writer.of(Phase.UPDATE), before, after, strict=True):
        np.testing.assert_allclose(rows(micro)[:, :4], was[:, :4], rtol=1e-6)
        np.testing.assert_allclose(rows(update)[:, :5], became, rtol=1e-6)
        factor = np.sqrt(became[:, SQUARES].sum() / was[:, SQUARES].sum())
        assert scalars(update)["clip_coefficient"] == pytest.approx(factor, rel=1e-6)
    assert (scalars(writer.of(Phase.UPDATE)[0])["clip_coefficient"] > 0.999) == (name == "nothing to clip")


def test_clipping_inside_the_window_is_an_edit() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    for i, x in enumerate(batches(3)):
        model(x).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.02)
        if i == 2:
            optimizer.step()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "e0.1", "m0.2", "e0.2", "m0.3", "u0.3", "r1"]
    for edit in writer.of(Phase.EDIT):
        assert np.sqrt(rows(edit)[:, SQUARES].sum()) == pytest.approx(0.02, rel=1e-4)
    assert scalars(writer.of(Phase.UPDATE)[0])["clip_coefficient"] < 1


def test_an_update_without_anything_accumulated_has_no_coefficient() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    optimizer.step()
    (model(batches(1)[0]) * 0).sum().backward()
    optimizer.step()
    recorder.close()
    assert all("clip_coefficient" not in scalars(event) for event in writer.of(Phase.UPDATE))
