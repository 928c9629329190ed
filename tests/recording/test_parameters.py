"""Parameters of every kind: missing, frozen, tied, sparse, complex, empty, hooked by others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_story import batches, expected, make_model, record, rows
from torch import nn

from gradviz.recording import parameters
from gradviz.recording.parameters import find_parameters
from gradviz.schema import L1, NONFINITE, Phase


def test_a_parameter_without_gradient_is_missing_not_zero() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x: torch.Tensor, use_b: bool) -> torch.Tensor:
            return self.b(x) if use_b else self.a(x)

    torch.manual_seed(0)
    model = Branches()
    recorder, writer = record(model)
    x = torch.randn(2, 3)
    model(x, False).sum().backward()
    model(x, True).sum().backward()
    recorder.close()
    first, second = (rows(event) for event in writer.of(Phase.MICRO_STEP))
    assert list(first[:, NONFINITE]) == [0, 0, -1, -1]
    assert list(second[:, NONFINITE]) == [0, 0, 0, 0]
    assert list(second[:, 8]) == [-1, -1, 0, 0], "no share of its own in this backward"


def test_frozen_then_unfrozen() -> None:
    model = make_model()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    for i, x in enumerate(batches(2)):
        if i:
            model[0].requires_grad_(True)
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    recorder.close()
    micro = writer.of(Phase.MICRO_STEP)
    assert [list(event.layer_ids) for event in micro] == [[2, 3], [0, 1, 2, 3]]
    assert (rows(micro[1])[:, L1] > 0).all()
    assert [layer.trainable for layer in recorder.watched.layers] == [False, False, True, True]


def test_a_tied_weight_is_one_row_with_all_names() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    recorder, writer = record(model)
    model(torch.randn(2, 4)).sum().backward()
    recorder.close()
    assert [(layer.name, layer.shared_names) for layer in recorder.watched.layers] == [
        ("0.weight", ("2.weight",)),
        ("0.bias", ()),
        ("2.bias", ()),
    ]
    row = rows(writer.of(Phase.MICRO_STEP)[0])[0]
    np.testing.assert_allclose(row[:4], expected(model[0].weight.grad)[:4], rtol=1e-6)
    np.testing.assert_allclose(row[5:9], row[:4], rtol=1e-12)


def test_sparse_embedding_complex_and_empty_parameters() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(10, 3, sparse=True)
    phase = nn.Parameter(torch.randn(4, dtype=torch.complex64))
    empty = nn.Parameter(torch.empty(0, 3))
    recorder, writer = record([("table", table.weight), ("phase", phase), ("empty", empty)])
    for _ in range(2):
        loss = table(torch.tensor([1, 1, 4])).square().sum() + phase.abs().square().sum() + empty.sum()
        loss.backward()
    recorder.close()
    assert writer.errors == []
    last = rows(writer.of(Phase.MICRO_STEP)[1])
    for row, parameter in zip(last, (table.weight, phase, empty), strict=True):
        np.testing.assert_allclose(row[:4], expected(parameter.grad)[:4], rtol=1e-6)


def test_a_hook_that_changes_gradients_after_ours() -> None:
    model = make_model()
    recorder, writer = record(model)
    model[0].weight.register_hook(lambda g: g * 2)
    model[2].weight.register_hook(lambda g: g.mul_(3))
    model(batches(1)[0]).square().mean().backward()
    recorder.close()
    row = rows(writer.of(Phase.MICRO_STEP)[0])
    for slot, factor in ((0, 2), (2, 3)):
        np.testing.assert_allclose(row[slot, L1], factor * row[slot, 5], rtol=1e-6)
        np.testing.assert_allclose(
            row[slot, :4], expected(list(model.parameters())[slot].grad)[:4], rtol=1e-6
        )


def test_reentrant_checkpoints_and_shared_weights() -> None:
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    recorder, writer = record(shared)
    for _ in range(2):
        x = torch.randn(3, 4, requires_grad=True)
        for _ in range(3):
            x = checkpoint(shared, x, use_reentrant=True)
        x.square().sum().backward()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "m0.2"]
    first, second = (rows(event) for event in writer.of(Phase.MICRO_STEP))
    np.testing.assert_array_equal(first[:, :4], first[:, 5:9])
    np.testing.assert_allclose(second[0, :4], expected(shared.weight.grad)[:4], rtol=1e-6)
    assert (second[:, 8] == -1).all(), "g_k came in three parts: unknown, never guessed"


def test_forward_order_is_kept_although_declared_in_another() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(4, 4), nn.Linear(4, 4)
            self.unused = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x))

    model = Backwards()
    recorder, writer = record(model)
    model(torch.randn(2, 4)).sum().backward()
    recorder.close()
    names = [recorder.watched.layers[slot].name for slot in writer.facts["forward_order"]]
    assert names == ["first.weight", "first.bias", "unused.weight", "unused.bias", "last.weight", "last.bias"]


def test_a_wrapper_that_copies_the_model_is_not_in_its_names() -> None:
    """One of many devices, as DDP is one of many processes; a part that is called `module` keeps its name."""
    part = nn.ModuleDict({"module": nn.Linear(5, 8), "norm": nn.BatchNorm1d(8)})
    model = nn.ModuleDict({"copied": nn.DataParallel(part), "last": nn.Linear(8, 2)})
    recorder, writer = record(model)
    x = batches(1)[0]
    model["last"](part["norm"](part["module"](x))).sum().backward()
    recorder.close()
    layers = recorder.watched.layers
    assert [(layer.name, layer.module_type) for layer in layers[::2]] == [
        ("copied.module.weight", "Linear"),
        ("copied.norm.weight", "BatchNorm1d"),
        ("last.weight", "Linear"),
    ]
    assert writer.facts["training_modules"] == {"batchnorm": ["copied.norm"]}


def test_other_ranks_are_noticed_from_the_next_window_on(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = find_parameters(nn.Linear(2, 2))
    assert not watched.averages(fresh=True)
    monkeypatch.setattr(parameters, "_together", lambda: True)
    assert [watched.averages(fresh=fresh) for fresh in (False, True, False)] == [False, True, True]
