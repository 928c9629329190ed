"""`gradviz compare` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradviz.schema import Phase
from tests.cli.conftest import Command
from tests.comparable_runs import record_alike

HEALTHY, SICK = "healthy-digits-n4-short-last-window", "never-resets"


def test_a_run_is_the_same_as_itself(gradviz: Command) -> None:
    answer = gradviz("compare", SICK, SICK)
    assert answer.code == 0
    assert answer.out == "The same to the last bit: 175 moments of 8 layers, up to update 29.\n"


def test_two_runs_that_part_at_a_reset(gradviz: Command) -> None:
    answer = gradviz("compare", HEALTHY, SICK)
    assert answer.code == 1
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["differs", HEALTHY, SICK]
    assert ["optimizer", "momentum", "0.9", "0"] in lines
    assert "They part at update 1, before its first micro-step" in answer.out
    assert "one of them did not reset them as the other did" in answer.out
    assert ["layer", "update", "largest", "ratio"] in lines


def test_for_a_machine(gradviz: Command) -> None:
    answer = gradviz("compare", HEALTHY, SICK, "--json")
    assert answer.code == 1
    told = json.loads(answer.out)
    assert (told["same"], told["identical"], told["rtol"]) == (False, False, 1e-5)
    first = told["first_difference"]
    assert (first["update"], first["micro_step"], first["phase"], first["clue"]) == (1, 0, "reset", "reset")
    assert first["first"] is None
    assert len(told["layers"]) == 8
    assert {"kind": "optimizer", "name": "lr", "values": ["0.1", "0.002"]} in told["facts"]
    assert json.loads(gradviz("compare", SICK, SICK, "--json").out)["same"] is True


def test_a_tolerance(gradviz: Command, tmp_path: Path) -> None:
    a = record_alike(tmp_path, "a")
    b = record_alike(tmp_path, "b", factors={(1, 2, Phase.MICRO_STEP): 1.001})
    assert gradviz("compare", a, b).code == 1
    answer = gradviz("compare", a, b, "--rtol", "0.01")
    assert answer.code == 0
    assert "The same within the tolerance of 0.01" in answer.out


def test_layers_of_one_run_alone(gradviz: Command, tmp_path: Path) -> None:
    a = record_alike(tmp_path, "a")
    b = record_alike(tmp_path, "b", layers=("in.weight", "\x1b[31mred"))
    answer = gradviz("compare", a, b)
    assert answer.code == 1
    assert "only in a: in.bias, out.weight" in answer.out
    assert "only in b: \\x1b[31mred" in answer.out


def test_a_run_that_goes_on_differs(gradviz: Command, tmp_path: Path) -> None:
    a, b = record_alike(tmp_path, "a"), record_alike(tmp_path, "b", windows=(3, 3, 3, 2, 3))
    answer = gradviz("compare", a, b)
    assert answer.code == 1
    assert "b goes on to update 4." in answer.out


def test_runs_of_one_name_are_told_apart_by_their_folders(gradviz: Command, tmp_path: Path) -> None:
    a = record_alike(tmp_path / "one", "same")
    b = record_alike(tmp_path / "two", "same", left=1.0)
    answer = gradviz("compare", a, b)
    assert f"no gradient in {a.name}" in answer.out


def test_runs_without_anything_in_common_but_their_layers(gradviz: Command, tmp_path: Path) -> None:
    a, b = (record_alike(tmp_path, name, windows=()) for name in "ab")
    answer = gradviz("compare", a, b)
    assert answer.code == 2
    assert answer.err.startswith("gradviz: There is nothing to compare")


@pytest.mark.parametrize("rtol", ["-1", "nan", "inf"])
def test_a_tolerance_that_is_none(gradviz: Command, rtol: str) -> None:
    answer = gradviz("compare", SICK, SICK, f"--rtol={rtol}")
    assert answer.code == 2
    assert "is none. Give a number" in answer.err


def test_a_run_that_is_not_there(gradviz: Command, tmp_path: Path) -> None:
    answer = gradviz("compare", SICK, "no-such-run")
    assert answer.code == 2
    assert answer.err.startswith("gradviz: Run 'no-such-run' not found")
    broken = record_alike(tmp_path, "broken")
    (broken / "run.json").write_text("{")
    assert gradviz("compare", SICK, broken).code == 2
