"""`gradviz demo`: a real training, recorded by a process of its own, and the dashboard on it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import gradviz as package
from gradviz.cli import demo
from gradviz.cli.dashboard import Dashboard
from gradviz.errors import GradvizError
from gradviz.recording import demonstration
from tests.cli.conftest import Command

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def training_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own loads torch, which takes seconds. An epoch has six micro-batches."""
    monkeypatch.setattr(demonstration, "MICRO_BATCHES", 6)

    @contextmanager
    def trained(place: Path, updates: int) -> Iterator[SimpleNamespace]:
        lines: list[str] = []
        monkeypatch.setattr(demonstration, "report", lambda **line: lines.append(json.dumps(line)))
        demonstration.train(updates, place)
        yield SimpleNamespace(stdout=iter(lines), returncode=0, wait=lambda: 0)

    monkeypatch.setattr(demo, "training", trained)


@pytest.mark.usefixtures("training_in_this_process")
def test_it_trains_and_records(gradviz: Command, tmp_path: Path) -> None:
    check_that_it_trains_and_records(gradviz, tmp_path, windows=[4, 2, 4])


@pytest.mark.soak
def test_it_trains_and_records_in_a_process_of_its_own(
    gradviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADVIZ_MODE", "off")  # meant for trainings: a demo that shows nothing is none
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    check_that_it_trains_and_records(gradviz, tmp_path, windows=[4] * 12 + [2, 4])


def check_that_it_trains_and_records(gradviz: Command, tmp_path: Path, windows: list[int]) -> None:
    answer = gradviz("demo", "--train-only", "--updates", len(windows), "--dir", tmp_path / "runs")
    assert answer.code == 0
    (summary,) = package.list_runs(tmp_path / "runs")
    assert (summary.name, summary.state, summary.model_class) == ("demo", "finished", "CharacterTransformer")
    assert str(summary.path) in answer.out
    assert f"{len(windows)}/{len(windows)}" in answer.out
    events = package.open_run(summary.path).events()
    consumed = events[events["phase"] == "update"]
    assert consumed["micro_step"].tolist() == windows
    assert consumed["update"].tolist() == list(range(len(windows)))


def test_without_torch_it_says_what_to_do(gradviz: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    answer = gradviz("demo")
    assert answer.code == 2
    assert answer.err.startswith(
        "gradviz: The demo trains a model and needs torch, which is not installed: pip"
    )
    assert answer.err.count("\n") == 1


def failing_training(words: str, code: int) -> subprocess.Popen[str]:
    """A training that says these lines and ends with this code."""
    program = f"print({words!r}, end=''); raise SystemExit({code})"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_a_training_that_fails_at_once() -> None:
    with (
        failing_training("", 3) as child,
        pytest.raises(GradvizError, match="exit code 3 before its first update"),
    ):
        demo.first_report(child)


def test_a_training_that_fails_later() -> None:
    report = '{"update": 0, "loss": NaN}\n'
    with failing_training(report, 4) as child, pytest.raises(GradvizError, match="ended with exit code 4"):
        demo.follow(child, 2)


def test_the_browser_is_sent_to_the_live_run() -> None:
    shown = Dashboard("127.0.0.1", 8501, None)
    page = demo.live_page(shown, Path("runs") / "2026-a b")
    assert page == "http://127.0.0.1:8501/accumulation?run=2026-a+b"


def test_the_browser_is_opened_only_if_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(demo, "wait_until_up", lambda _dashboard, _server: None)
    monkeypatch.setattr(Dashboard, "command", lambda _self, **_options: [sys.executable, "-c", "input()"])
    shown = Dashboard("127.0.0.1", 8501, None)
    for open_browser in (False, True):
        with demo.serving(shown, tmp_path / "run", open_browser=open_browser) as server:
            pass
        assert server.returncode is not None
    assert opened == ["http://127.0.0.1:8501/accumulation?run=run"]


def test_kill_leaves_in_order_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), demo._leaving_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.soak  # a command, its training and its dashboard
def test_the_dashboard_stays_until_ctrl_c(tmp_path: Path) -> None:
    program = "from gradviz.cli import main; main()"
    line = [sys.executable, "-c", program, "demo", "--no-browser", "--updates", "3", "--dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        told = []
        for words in shell.stdout:
            told.append(words)
            if "the dashboard stays" in words:
                os.killpg(shell.pid, signal.SIGINT)  # as a terminal does: the whole group
        assert shell.wait() == 0
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.killpg(shell.pid, 0)  # nobody of the group is left
    assert any("Dashboard: http://127.0.0.1:" in words for words in told)
    (summary,) = package.list_runs(tmp_path)
    assert summary.state == "finished"
