"""Updates: closures, several optimizers, optimizers that nobody named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_story import batches, make_model, record, rows, run
from torch import nn

from gradviz.schema import Phase


@pytest.mark.parametrize("keyword", [False, True])
def test_a_closure_is_consumed_after_it_ran(keyword: bool) -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for x in batches(2):

            def closure(x: torch.Tensor = x) -> torch.Tensor:
                optimizer.zero_grad()
                loss = model(x).square().mean()
                loss.backward()
                return loss

            loss = optimizer.step(closure=closure) if keyword else optimizer.step(closure)
            assert loss is not None

    writer = run(body)
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1", "m1.1", "u1.1", "r2"]
    np.testing.assert_array_equal(
        rows(writer.of(Phase.UPDATE)[1])[:, :4], rows(writer.of(Phase.MICRO_STEP)[1])[:, :4]
    )


def test_lbfgs_calls_its_closure_many_times() -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    recorder, writer = record(model, optimizer)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(batches(1)[0]).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    recorder.close()
    labels = writer.labels()
    assert labels[:4] == ["r0", "m0.1", "e0.1", "m0.2"]
    assert [label for label in labels if label.startswith("u")] == [f"u0.{len(writer.of(Phase.MICRO_STEP))}"]


def test_two_optimizers_share_an_update_and_own_their_rows() -> None:
    model = make_model()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.SGD(model[2].parameters(), lr=0.1)
    recorder, writer = record(model, first, second)
    for x in batches(4):
        model(x).square().mean().backward()
        first.step()
        second.step()
        first.zero_grad()
        second.zero_grad()
    recorder.close()
    assert writer.labels()[:8] == ["r0", "m0.1", "u0.1", "u0.1", "r1", "m1.1", "u1.1", "u1.1"]
    assert [list(event.layer_ids) for event in writer.of(Phase.UPDATE)[:2]] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("several", [False, True])
def test_optimizers_are_noticed_without_being_named(several: bool) -> None:
    model, stranger = make_model(), make_model()
    optimizers = [
        torch.optim.SGD(part.parameters(), lr=0.1) for part in ([model[0], model[2]] if several else [model])
    ]
    others = torch.optim.SGD(stranger.parameters(), lr=0.1)
    recorder, writer = record(model)
    for x in batches(2):
        stranger(x).sum().backward()
        model(x).square().mean().backward()
        others.step()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    updates = ["u0.1", "u0.1"] if several else ["u0.1"]
    assert writer.labels()[: 2 + len(updates)] == ["r0", "m0.1", *updates]
    assert len(writer.of(Phase.MICRO_STEP)) == 2, "another model's backward is not a micro-step"


def test_a_step_twice_without_a_backward_is_two_updates() -> None:
    def body(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model(batches(1)[0]).square().mean().backward()
        optimizer.step()
        optimizer.step()

    assert run(body).labels() == ["r0", "m0.1", "u0.1", "u1.0", "r2"]
