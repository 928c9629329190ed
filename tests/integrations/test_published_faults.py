"""Two published faults of libraries: whoever records such a training and asks `gradviz check` is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import test_lightning
from stories import make_loader
from typer.testing import CliRunner

import gradviz
from gradviz.cli.commands import application

pytestmark = test_lightning.pytestmark


@pytest.fixture
def zero_grad_at_the_top_of_accumulate(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """accelerate#1299."""
    accelerate = request.getfixturevalue("accelerate")
    one = accelerate.accelerator()
    model, plain = accelerate.made()
    model, optimizer, loader = one.prepare(model, plain, make_loader())
    with gradviz.watch(model, plain, run_dir=tmp_path) as recorder:
        accelerate.train(one, model, optimizer, loader, zero_first=True)
    return recorder.run_path


@pytest.fixture
def the_short_last_window_divided_by_n(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """lightning#19987."""
    lightning = request.getfixturevalue("lightning")
    return lightning.fitted(lightning.Automatic(), tmp_path)


@pytest.mark.parametrize(
    ("fault", "level", "code", "update"),
    [
        ("zero_grad_at_the_top_of_accumulate", "error", "reset-inside-window", 0),
        ("the_short_last_window_divided_by_n", "warning", "short-window", 2),
    ],
)
def test_check_says_it(
    request: pytest.FixtureRequest, fault: str, level: str, code: str, update: int
) -> None:
    path = request.getfixturevalue(fault)
    asked = CliRunner().invoke(application, ["check", str(path), "--fail-on", "warning", "--json"])
    assert asked.exit_code == 1
    worst = json.loads(asked.stdout)["findings"][0]
    assert (worst["code"], worst["level"], worst["update"]) == (code, level, update)
    told = CliRunner().invoke(application, ["check", str(path)])
    assert told.exit_code == 1
    for words in (worst["title"], worst["why"], worst["paste"].splitlines()[0]):
        assert words in told.stdout
