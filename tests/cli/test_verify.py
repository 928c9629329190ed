"""`gradviz verify`: its three exit codes, its table and its JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

LOOPS = '''
"""Windows to verify."""
import torch
from torch import nn
from torch.nn import functional as F
from beside import PARTS


def case(divisor):
    torch.manual_seed(0)
    model, inputs, labels = nn.Linear(6, 3), torch.randn(32, 6), torch.randint(3, (32,))

    def accumulate():
        for x, y in zip(inputs.chunk(PARTS), labels.chunk(PARTS)):
            (F.cross_entropy(model(x), y) / divisor).backward()

    return model, accumulate, lambda: F.cross_entropy(model(inputs), labels).backward()


def right():
    return case(PARTS)


def not_divided():
    return case(1)


def reported():
    import gradviz
    return gradviz.verify_accumulation(*case(PARTS), tolerance=1e-3)


def raising():
    raise ValueError("[b]no[/b]")


def leaving():
    raise SystemExit(0)


def nothing():
    pass


def forgetful():
    model, accumulate, reference = case(1)
    return model, lambda: None, reference
'''


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file with several functions, which imports another file beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "beside.py").write_text("PARTS = 4\n")
    (folder / "loops.py").write_text(LOOPS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    return folder / "loops.py"


def test_equal(gradviz: Command, loops: Path) -> None:
    answer = gradviz("verify", f"{loops}:right")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Equal: 4 micro-steps")
    assert [line.split()[-1] for line in answer.out.splitlines()[-2:]] in (
        ["weight", "bias"],
        ["bias", "weight"],
    )


def test_different(gradviz: Command, loops: Path) -> None:
    answer = gradviz("verify", f"{loops}:not_divided")
    assert answer.code == 1
    assert "The loss is not divided" in answer.out
    assert "Divide it: (loss / 4).backward()." in answer.out


def test_json(gradviz: Command, loops: Path) -> None:
    answer = gradviz("verify", f"{loops}:not_divided", "--json")
    told = json.loads(answer.out)
    assert answer.code == 1
    assert (told["ok"], told["micro_steps"], told["factor"]) == (False, 4, pytest.approx(4))
    assert told["causes"] == [
        {"code": "not-divided", "evidence": {"factor": pytest.approx(4), "micro_steps": 4}}
    ]
    assert {layer["layer"] for layer in told["layers"]} == {"weight", "bias"}


def test_a_report_of_ones_own(gradviz: Command, loops: Path) -> None:
    answer = gradviz("verify", f"{loops}:reported")
    assert answer.code == 0
    assert "tolerance 1e-03" in answer.out


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("raising", r"loops.py:raising failed: ValueError: [b]no[/b] (loops.py, line 34)"),
        ("leaving", "loops.py:leaving failed: SystemExit: 0 (loops.py, line 38)"),
        ("nothing", "loops.py:nothing returned NoneType. It should return (model, accumulate, reference)"),
        ("forgetful", "`accumulate` left no gradient in the model, after 0 backward passes."),
        (
            "nowhere",
            "loops.py has no function `nowhere`. Found: case, forgetful, leaving, not_divided, nothing",
        ),
    ],
)
def test_what_cannot_run(gradviz: Command, loops: Path, function: str, words: str) -> None:
    answer = gradviz("verify", f"{loops}:{function}")
    assert answer.code == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_files_that_cannot_be_loaded(gradviz: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import torch\n1 / 0\n")
    assert "broken.py cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)" in (
        gradviz("verify", "broken.py:f").err
    )
    assert "There is no file" in gradviz("verify", "missing.py:f").err
    assert "is not of the form path/to/file.py:function" in gradviz("verify", "broken.py").err
    assert "is not of the form" in gradviz("verify", "broken.txt:f").err


def test_without_torch_it_says_what_to_do(gradviz: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    answer = gradviz("verify", "loops.py:right")
    assert answer.code == 2
    assert "needs torch, which is not installed: pip install torch" in answer.err
