"""Several models, optimizers, recorders and processes: who is told of what."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from by_hand import assert_event, assert_micro_steps
from loop_story import batches, make_model, record, rows
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from two_windows import RIGHT, story, train, twin_story

import gradviz
from gradviz.schema import L1, Phase

# ---- a generator and its critic ----


class Game:
    """A small GAN, as its tutorial has it; keeps what every gradient was at each of its two updates."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator, self.critic = nn.Linear(3, 5), nn.Linear(5, 1)
        self.makes = torch.optim.SGD(self.generator.parameters(), lr=0.1)
        self.judges = torch.optim.SGD(self.critic.parameters(), lr=0.1)
        self.consumed: list[list[torch.Tensor]] = []

    def play(self, x: torch.Tensor) -> None:
        """The critic learns from a real and a made batch; then the generator, through the critic."""
        made = self.generator(x[:, :3])
        self.judges.zero_grad()
        nn.functional.softplus(-self.critic(x)).mean().backward()
        nn.functional.softplus(self.critic(made.detach())).mean().backward()
        self.take(self.critic)
        self.judges.step()
        self.makes.zero_grad()
        nn.functional.softplus(-self.critic(made)).mean().backward()  # reaches the critic's parameters too
        self.take(self.generator)
        self.makes.step()

    def take(self, model: nn.Module) -> None:
        self.consumed.append([p.grad.clone() for p in model.parameters() if p.grad is not None])


def test_a_game_with_a_recorder_each() -> None:
    game = Game()
    making, makers = record(game.generator, game.makes)
    judging, critics = record(game.critic, game.judges)
    for x in batches(3):
        game.play(x)
    making.close()
    judging.close()
    assert story(makers) == "r0 m0.1 u0.1 r1 m1.1 u1.1 r2 m2.1 u2.1 r3"
    # the generator's backward leaves its gradient in the critic; `zero_grad` throws it away: a real edit
    assert story(critics) == (
        "r0 m0.1 m0.2 u0.2 r1 m1.1 e1.1 m1.2 m1.3 u1.3 r2 m2.1 e2.1 m2.2 m2.3 u2.3 r3 m3.1"
    )
    for update, gradients in zip(critics.of(Phase.UPDATE), game.consumed[0::2], strict=True):
        assert_event(update, gradients)
    for update, gradients in zip(makers.of(Phase.UPDATE), game.consumed[1::2], strict=True):
        assert_event(update, gradients)
    assert all((rows(edit)[:, L1] == 0).all() for edit in critics.of(Phase.EDIT))


def test_a_game_with_one_recorder() -> None:
    game = Game()
    both = nn.ModuleDict({"generator": game.generator, "critic": game.critic})
    recorder, writer = record(both, game.makes, game.judges)
    for x in batches(2):
        game.play(x)
    recorder.close()
    assert story(writer) == "r0 m0.1 m0.2 u0.2 r1 m1.1 u1.1 r2 m2.1 m2.2 u2.2 r3 m3.1 u3.1 r4"
    owned = [list(update.layer_ids) for update in writer.of(Phase.UPDATE)]
    assert owned == [[2, 3], [0, 1]] * 2, "an update has the rows of its own optimizer"
    for update, gradients in zip(writer.of(Phase.UPDATE), game.consumed, strict=True):
        assert_event(update, gradients)


# ---- two recorders ----


def test_two_recorders_on_a_model_and_on_a_part_of_it() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    whole, told = record(model, optimizer)
    part, told_of_part = record(model[2], optimizer)
    train(model, optimizer)
    part.close()
    whole.close()
    assert story(told) == story(told_of_part) == RIGHT
    by_hand = twin_story()
    assert_micro_steps(told, by_hand)
    assert_micro_steps(told_of_part, [(own[2:], accumulated[2:]) for own, accumulated in by_hand])


# ---- copies ----


def test_an_average_of_the_weights_beside_the_training() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    for i, x in enumerate(batches(4)):
        model(x).square().mean().backward()
        average(x).square().mean().backward()  # nobody does; if somebody does, it is another model's
        if i % 2:
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(model)
            average.zero_grad()
    recorder.close()
    assert story(writer) == RIGHT
    assert_micro_steps(writer, twin_story())


@pytest.mark.parametrize("way", ["deepcopy", "save and load"])
def test_a_copy_in_the_middle_is_a_model_of_its_own(way: str) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    loss = model(batches(1)[0]).square().mean()
    loss.backward()
    if way == "deepcopy":
        twin = copy.deepcopy(model)
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        twin = torch.load(buffer, weights_only=False)
    own, its = record(twin)
    twin(batches(2)[1]).square().mean().backward()
    optimizer.step()
    own.close()
    recorder.close()
    assert (story(writer), story(its)) == ("r0 m0.1 u0.1 r1", "r0 m0.1")
    assert_event(writer.events[1], [p.grad for p in model.parameters()])
    assert_event(its.events[1], [p.grad for p in twin.parameters()])


# ---- processes ----


class Rows(TensorDataset):
    """Its workers are forked with the recorder in them, and train a little of their own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(torch.cat(batches(4)))
        self.model = model

    def __getitem__(self, index: Any) -> Any:
        self.model(torch.ones(1, 5)).sum().backward()
        return super().__getitem__(index)[0]


def test_workers_of_a_data_loader(tmp_path: Path) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    # another object than the trained model, but its copy's gradients must not be recorded either
    loader = DataLoader(Rows(model), batch_size=4, num_workers=2)
    with gradviz.watch(model, optimizer, run_dir=tmp_path) as recorder:
        for i, x in enumerate(loader):
            model(x).square().mean().backward()
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    events = run.events()
    labels = [f"{phase[0]}{u}.{k}" for phase, u, k in events[["phase", "update", "micro_step"]].to_numpy()]
    assert labels == ["r0.0", "m0.1", "m0.2", "u0.2", "r1.0", "m1.1", "m1.2", "u1.2", "r2.0"]
    assert (run.state, run.dropped, run.damaged) == ("finished", 0, [])
    last = run.gradients(phases=["micro_step"]).query("update == 1 and micro_step == 2")
    _, accumulated = twin_story()[-1]
    assert last["l2"].tolist() == pytest.approx([float(g.double().norm()) for g in accumulated], rel=1e-6)
