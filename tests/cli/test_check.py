"""`gradviz check` and `gradviz advise`: on sample runs, for a person and for a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_runs import record
from tests.comparable_runs import record_alike

SICK, HEALTHY, VANISHING = "never-resets", "healthy-transformer-n8", "vanishing-deep-sigmoid"


def test_a_sick_run_fails_and_says_why_and_what_to_do(gradviz: Command) -> None:
    answer = gradviz("check", SICK)
    assert answer.code == 1
    heading, first, *_ = answer.out.splitlines()
    assert heading.split() == ["level", "code", "where", "what"]
    assert first.split()[:4] == ["error", "not-reset", "update", "1,"]
    assert "In 29 of 30 windows, 8 of 8 parameters started from a gradient that was not zero" in answer.out
    assert "      optimizer.zero_grad()\n" in answer.out
    assert "checks could not be made; --verbose says what they need." in answer.out


def test_a_healthy_run_passes(gradviz: Command) -> None:
    answer = gradviz("check", HEALTHY)
    assert answer.code == 0
    assert "error" not in answer.out
    assert "checks looked at 100 windows." in answer.out


@pytest.mark.parametrize(
    ("run", "fail_on", "code"),
    [(SICK, "error", 1), (SICK, "info", 1), (HEALTHY, "warning", 0), (VANISHING, "warning", 1)],
)
def test_what_counts_as_a_failure(gradviz: Command, run: str, fail_on: str, code: int) -> None:
    assert gradviz("check", run, "--fail-on", fail_on).code == code


def test_what_could_not_be_checked(gradviz: Command, tmp_path: Path) -> None:
    run = record(tmp_path, "short", windows=(1, 1))
    answer = gradviz("check", run, "--verbose")
    assert answer.code == 0
    assert answer.out.startswith("Nothing found.\n")
    assert "  duplicate-micro-batch: windows of two micro-steps or more" in answer.out
    assert "  vanishing: four hidden weight matrices or more" in answer.out


def test_for_a_machine(gradviz: Command) -> None:
    answer = gradviz("check", SICK, "--json")
    assert answer.code == 1
    told = json.loads(answer.out)
    finding = told["findings"][0]
    assert (finding["code"], finding["level"], finding["update"], finding["micro_step"]) == (
        "not-reset",
        "error",
        1,
        0,
    )
    assert len(finding["layers"]) == 8
    assert finding["evidence"]["windows"] == 29
    assert finding["title"] == "Gradients are not reset"
    assert "not-reset" in told["checked"]
    assert told["unknown"]["vanishing"] == "four hidden weight matrices or more"
    assert told["windows"] == told["windows_total"] == 30


@pytest.mark.parametrize("command", ["check", "advise"])
def test_a_run_that_is_not_there(gradviz: Command, command: str) -> None:
    answer = gradviz(command, "no-such-run")
    assert answer.code == 2
    assert answer.err.startswith("gradviz: Run 'no-such-run' not found")


def test_what_could_not_be_read_is_said(gradviz: Command, tmp_path: Path) -> None:
    run = record_alike(tmp_path, "damaged")
    part = next((run / "gradients").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    assert "Damaged parts that could not be read: 1." in gradviz("check", run).out
    assert json.loads(gradviz("check", run, "--json").out)["damaged"] == 1


def test_advice_in_one_paragraph(gradviz: Command) -> None:
    answer = gradviz("advise", HEALTHY)
    assert answer.code == 0
    assert answer.out.startswith(
        "A window of this run has 8 micro-steps, 64 samples. Its gradient noise scale is 80.2 samples"
    )
    assert answer.out.count("\n") == 1
    assert "With 16 micro-steps that would be 61 % (57 % to 65 %), for twice the work" in answer.out


def test_advice_as_numbers(gradviz: Command) -> None:
    told = json.loads(gradviz("advise", HEALTHY, "--json", "--samples", "16").out)
    assert told["unit"] == "samples"
    assert (told["micro_steps"], told["window"]) == (8, 128)
    assert told["noise_scale"]["low"] < told["noise_scale"]["value"] < told["noise_scale"]["high"]
    assert [option["micro_steps"] for option in told["options"]] == [4, 8, 16]
    assert [option["value"] for option in told["options"]] == sorted(
        option["value"] for option in told["options"]
    )


def test_advice_where_nothing_can_be_said(gradviz: Command) -> None:
    answer = gradviz("advise", SICK)
    assert answer.code == 0
    assert answer.out.startswith(
        "Nothing can be said about the window: 1 windows can be used, and it takes 8."
    )
    assert json.loads(gradviz("advise", SICK, "--json").out)["noise_scale"]["value"] is None
