"""Hugging Face Accelerate: the same run as by hand, with plain `watch` and with the tracker."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from stories import CLEARED_AFTERWARDS, RIGHT, N, assert_same_run, make_loader, story
from torch import nn

import gradviz

F = nn.functional


def test_watch_before_prepare(accelerate: ModuleType, tmp_path: Path) -> None:
    one, (model, optimizer) = accelerate.accelerator(), accelerate.made()
    with gradviz.watch(model, optimizer, run_dir=tmp_path) as recorder:
        accelerate.train(one, *one.prepare(model, optimizer, make_loader()))
    assert story(recorder.run_path) == CLEARED_AFTERWARDS
    assert_same_run(recorder.run_path, accelerate.by_hand(tmp_path))


@pytest.mark.parametrize("named", [False, True])
def test_watch_after_prepare(accelerate: ModuleType, named: bool, tmp_path: Path) -> None:
    one = accelerate.accelerator()
    model, optimizer, loader = one.prepare(*accelerate.made(), make_loader())
    with gradviz.watch(model, optimizer if named else None, run_dir=tmp_path) as recorder:
        accelerate.train(one, model, optimizer, loader)
    assert_same_run(recorder.run_path, accelerate.by_hand(tmp_path))


@pytest.mark.parametrize("prepared", [False, True])
def test_the_tracker_records_the_same(accelerate: ModuleType, prepared: bool, tmp_path: Path) -> None:
    tracker = accelerate.GradvizTracker(run_dir=tmp_path)
    one, (model, optimizer) = accelerate.accelerator(log_with=tracker), accelerate.made()
    if not prepared:
        tracker.watch(model, optimizer)
    model, optimizer, loader = one.prepare(model, optimizer, make_loader())
    one.init_trackers("digits", config={"lr": 0.1})
    if prepared:
        tracker.watch(model, optimizer)
    accelerate.train(one, model, optimizer, loader)
    one.end_training()
    assert_same_run(tracker.tracker.run_path, accelerate.by_hand(tmp_path))


def test_the_tracker_declares_passes_numbers_and_closes(accelerate: ModuleType, tmp_path: Path) -> None:
    tracker = accelerate.GradvizTracker(run_dir=tmp_path, name="named")
    one = accelerate.accelerator(log_with=tracker)
    model, optimizer, loader = one.prepare(*accelerate.made(), make_loader())
    one.init_trackers("digits")
    one.log({"accuracy": 0.0})  # nothing is recorded yet, and nothing is wrong
    recorder = tracker.watch(model, optimizer)
    assert one.get_tracker("gradviz", unwrap=True) is recorder
    for i, (inputs, labels) in enumerate(loader):
        with one.accumulate(model):
            one.log({"accuracy": i / 10, "loss": 99.0, "note": "text"}, step=i)
            one.backward(F.cross_entropy(model(inputs), labels))
            optimizer.step()
            optimizer.zero_grad()
    one.end_training()
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    micro = run.events().query("phase == 'micro_step'")
    assert (run.name, run.state, run.metadata["accumulation_steps"]) == ("named", "finished", N)
    assert micro["accuracy"].tolist() == [i / 10 for i in range(10)]
    assert (micro["loss"] < 1).all(), "the loss is observed, not the one that is logged"
    assert "note" not in micro


def test_an_exception_closes_the_run_as_crashed(accelerate: ModuleType, tmp_path: Path) -> None:
    tracker = accelerate.GradvizTracker(run_dir=tmp_path)
    one = accelerate.accelerator(log_with=tracker)
    model, optimizer, loader = one.prepare(*accelerate.made(), make_loader())
    inputs, recorder = next(iter(loader))[0], tracker.watch(model, optimizer)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), recorder:
        one.backward(model(inputs[:, :-1]).sum())
    assert recorder.run_path is not None
    run = gradviz.open_run(recorder.run_path)
    assert (run.state, run.reason) == ("crashed", "RuntimeError")


def test_without_accumulate_nothing_is_declared(accelerate: ModuleType, tmp_path: Path) -> None:
    one = accelerate.Accelerator(cpu=True)
    tracker = accelerate.GradvizTracker(run_dir=tmp_path)
    with tracker.watch(*one.prepare(*accelerate.made())) as recorder:
        pass
    assert recorder.run_path is not None
    assert gradviz.open_run(recorder.run_path).metadata["accumulation_steps"] is None


def test_zero_grad_at_the_top_of_accumulate_is_seen(accelerate: ModuleType, tmp_path: Path) -> None:
    """accelerate#1299: `zero_grad` acts in the last micro-step of a window and throws away what came before."""
    one = accelerate.accelerator()
    model, plain = accelerate.made()
    model, optimizer, loader = one.prepare(model, plain, make_loader())
    with gradviz.watch(model, plain, run_dir=tmp_path) as recorder:
        accelerate.train(one, model, optimizer, loader, zero_first=True)
    assert (
        story(recorder.run_path)
        == RIGHT.replace("m0.4", "e0.3 m0.4").replace("m1.4", "e1.3 m1.4").replace("m2.2", "e2.1 m2.2")
        + " r3"
    )
    assert recorder.run_path is not None
    rows = gradviz.open_run(recorder.run_path).gradients()
    last = rows.query("phase == 'micro_step' and micro_step == 4")
    np.testing.assert_allclose(last["l2"], last["micro_l2"], rtol=1e-6)
    third = rows.query("phase == 'micro_step' and micro_step == 3")
    assert (third["l2"] > third["micro_l2"]).any()
    assert (rows.query("phase == 'edit'")["mean_abs"].fillna(0) == 0).all()
    named = [finding.code for finding in gradviz.diagnose(gradviz.open_run(recorder.run_path))]
    assert "reset-inside-window" in named
