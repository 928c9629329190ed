"""Findings while training: asked for at any moment, and told once an episode."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from loop_story import batches, make_model
from torch import nn

import gradviz
from gradviz.recording import announcing
from gradviz.recording.announcing import Announcer


def never_reset(model: nn.Module, optimizer: torch.optim.Optimizer, windows: int = 6) -> None:
    for _ in range(windows):
        for x in batches(3):
            (model(x).square().mean() / 3).backward()
        optimizer.step()


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = make_model()
    return model, torch.optim.SGD(model.parameters(), lr=1e-4)


def test_findings_at_any_moment(tmp_path: Path) -> None:
    model, optimizer = parts()
    with gradviz.watch(model, optimizer, run_dir=tmp_path) as recorder:
        assert recorder.findings() == []
        never_reset(model, optimizer)
        assert "not-reset" in [finding.code for finding in recorder.findings()]
    assert "not-reset" in [finding.code for finding in recorder.findings()], "and after the end"


def test_a_finding_is_told_once_and_from_the_writer_s_thread(tmp_path: Path) -> None:
    model, optimizer = parts()
    told: list[tuple[str, str]] = []

    def on_finding(finding: Any) -> None:
        told.append((finding.code, threading.current_thread().name))

    with gradviz.watch(model, optimizer, run_dir=tmp_path, on_finding=on_finding):
        never_reset(model, optimizer)
    assert [code for code, _ in told].count("not-reset") == 1
    assert {name for _, name in told} == {"gradviz-writer"}


def test_a_callable_that_raises_is_noted_and_training_goes_on(tmp_path: Path) -> None:
    def on_finding(_finding: Any) -> None:
        raise ValueError("yours")

    model, optimizer = parts()
    with gradviz.watch(model, optimizer, run_dir=tmp_path, on_finding=on_finding) as recorder:
        never_reset(model, optimizer)
    assert recorder.run_path is not None
    assert gradviz.open_run(recorder.run_path).state == "finished"


def test_an_episode_ends_and_may_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradviz.diagnostics import Finding, Level

    def found(*codes: tuple[str, Level]) -> list[Finding]:
        return [Finding(code, level) for code, level in codes]

    a, b, worse = ("a", Level.WARNING), ("b", Level.INFO), ("a", Level.ERROR)
    episodes = iter([found(a), found(a, b), None, found(b), found(a, b), found(worse, b)])
    monkeypatch.setattr(Announcer, "_diagnosed", lambda self, path: next(episodes))
    told: list[tuple[str, Level]] = []
    announcer = Announcer(lambda one: told.append((one.code, one.level)), seconds=0)
    for _ in range(6):
        announcer.look(tmp_path, final=True)
    assert told == [a, b, a, worse]


def test_looking_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 3.0, 5.0, 50.0, 50.0, 50.0])
    looked: list[Path] = []
    monkeypatch.setattr(announcing.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(Announcer, "_diagnosed", lambda self, path: looked.append(path))
    announcer = Announcer(print, seconds=1.0)  # at 0
    announcer.look(tmp_path)  # from 1 to 3: two seconds, so nothing more before 3 + 40
    announcer.look(tmp_path)  # at 5
    assert len(looked) == 1
    announcer.look(tmp_path)  # at 50
    assert len(looked) == 2
