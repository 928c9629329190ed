"""A model that gets parameters while it is watched: they are recorded from the next window on."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gradviz
from gradviz.recording.parameters import find_parameters


class Grown(nn.Module):
    """A body, and a head that may be replaced or joined by another."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.more: nn.Module = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.more(self.head(self.body(x))))


def window(model: nn.Module, *optimizers: torch.optim.Optimizer) -> list[dict[str, float]]:
    """Train one of two micro-steps; mean |G_k| of every parameter after each."""
    means = []
    for _ in range(2):
        (model(torch.randn(5, 3)).square().mean() / 2).backward()
        means.append(
            {
                n: p.grad.double().abs().mean().item()
                for n, p in model.named_parameters()
                if p.grad is not None
            }
        )
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return means


def recorded(run: gradviz.Run) -> dict[tuple[int, int, str], float]:
    rows = run.gradients(phases="micro_step").dropna(subset=["nonfinite"])
    keys = zip(rows["update"], rows["micro_step"], rows["layer"].astype(str), strict=True)
    return dict(zip(keys, rows["mean_abs"].astype(float), strict=True))


def told(windows: dict[int, list[dict[str, float]]]) -> dict[tuple[int, int, str], float]:
    return {
        (update, k, name): mean
        for update, steps in windows.items()
        for k, means in enumerate(steps, 1)
        for name, mean in means.items()
    }


def test_a_layer_added_to_the_optimizer_is_there_from_the_next_window_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Grown()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    story = {}
    with gradviz.watch(model, optimizer, run_dir=tmp_path) as recorder:
        story[0] = window(model, optimizer)
        model.more = nn.Linear(2, 2)
        optimizer.add_param_group({"params": list(model.more.parameters())})
        story[1] = window(model, optimizer)
        story[2], story[3] = window(model, optimizer), window(model, optimizer)
    for means in story[1]:  # its optimizer is the first to tell of them
        del means["more.weight"], means["more.bias"]
    run = gradviz.open_run(recorder.run_path)
    expected, found = told(story), recorded(run)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), rtol=1e-6)
    names = ["body.weight", "body.bias", "head.weight", "head.bias", "more.weight", "more.bias"]
    assert run.layers["layer"].tolist() == names
    updates = run.gradients(layers="more.weight", phases="update")
    assert updates["update"].tolist() == [2, 3]
    assert (updates["zeros"] == 0).all()
    assert gradviz.diagnose(run) == [] or all(f.level != "error" for f in gradviz.diagnose(run))


def test_a_replaced_layer_of_the_same_name_is_another_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Grown()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, run_dir=tmp_path) as recorder:
        window(model, optimizer)
        model.head = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        window(model, optimizer)
        window(model, optimizer)
    run = gradviz.open_run(recorder.run_path)
    assert run.layers["layer"].tolist()[4:] == ["head.weight~2", "head.bias~2"]
    old = run.gradients(layers="head.weight", phases="micro_step")
    new = run.gradients(layers="head.weight~2", phases="micro_step")
    assert old["nonfinite"].notna().tolist() == [True, True] + [False] * (len(old) - 2)
    assert new["update"].tolist() == [2, 2]
    assert (new["mean_abs"] > 0).all()


def test_an_optimizer_of_its_own_is_met_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Grown()
    first = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, run_dir=tmp_path) as recorder:
        window(model, first)
        model.more = nn.Linear(2, 2)
        second = torch.optim.SGD(model.more.parameters(), lr=0.1)
        window(model, first, second)
        window(model, first, second)
    run = gradviz.open_run(recorder.run_path)
    assert run.gradients(layers="more.weight", phases="update")["update"].tolist() == [2]


@pytest.mark.parametrize("whole", [True, False])
def test_parameters_of_another_model_stay_out(tmp_path: Path, whole: bool) -> None:
    model, other = Grown(), nn.Linear(2, 1)
    watched = model if whole else list(model.named_parameters())
    both = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    with gradviz.watch(watched, run_dir=tmp_path) as recorder:
        for _ in range(3):
            (other(model(torch.randn(5, 3))).square().mean()).backward()
            both.step()
            both.zero_grad()
    assert len(gradviz.open_run(recorder.run_path).layers) == 4


def test_training_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    def trained(*, watch: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = Grown()
        optimizer = torch.optim.Adam(model.parameters())
        recorder = gradviz.watch(model, optimizer, run_dir=tmp_path) if watch else None
        window(model, optimizer)
        model.more = nn.Linear(2, 2)
        optimizer.add_param_group({"params": list(model.more.parameters())})
        window(model, optimizer)
        window(model, optimizer)
        if recorder is not None:
            recorder.close()
        return [parameter.detach() for parameter in model.parameters()]

    for bare, recorded in zip(trained(watch=False), trained(watch=True), strict=True):
        assert torch.equal(bare, recorded)


def test_a_new_parameter_at_the_address_of_one_that_is_gone() -> None:
    """An id says nothing once its parameter is gone: the new one is a stranger of its own."""
    model = nn.Linear(3, 2)
    watched = find_parameters(model)
    stranger = nn.Parameter(torch.ones(4))
    place = id(stranger)
    watched.slots_of(torch.optim.SGD([stranger], lr=0.1))
    assert watched.met_strangers
    assert watched.grow() == []
    contents = [torch.ones(4) for _ in range(10_000)]  # made before: one of them would take the place
    gc.collect()  # the optimizer is gone, and what it held
    del stranger
    kept = [nn.Parameter(content) for content in contents]
    new = next(one for one in kept if id(one) == place)
    model.register_parameter("scale", new)
    assert watched.slots_of(torch.optim.SGD(model.parameters(), lr=0.1)) == [0, 1]
    assert watched.met_strangers
    assert [layer.name for layer in watched.grow()] == ["scale"]


def test_a_model_all_of_whose_parameters_are_replaced_before_training_is_recorded(tmp_path: Path) -> None:
    """None of those that were there at `watch` is left: the model is not taken for one that was deleted."""
    model = Grown()
    with gradviz.watch(model, run_dir=tmp_path, strict=True) as recorder:
        model.body, model.head = nn.Linear(3, 4), nn.Linear(4, 2)
        gc.collect()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        window(model, optimizer)  # not seen: nobody has said that the new ones are trained
        means = window(model, optimizer)
    rows = gradviz.open_run(recorder.run_path).gradients(phases="update")
    assert sorted(rows["layer"]) == sorted(f"{name}~2" for name in means[-1])
    found = rows.set_index("layer")["mean_abs"]
    for name, mean in means[-1].items():
        assert found[f"{name}~2"] == pytest.approx(mean, rel=1e-6)
