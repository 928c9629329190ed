"""`gradviz report` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from gradviz.texts import text
from tests.cli.conftest import Command


def test_the_file_is_named_after_the_run(gradviz: Command, tmp_path: Path) -> None:
    answer = gradviz("report", "never-resets")
    assert answer.code == 0
    assert answer.out.startswith(f"{tmp_path / 'never-resets.html'}  (")
    assert "1 error" in answer.out
    assert (tmp_path / "never-resets.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_another_place_and_language(gradviz: Command, tmp_path: Path) -> None:
    assert gradviz("report", "never-resets", "-o", "r.html", "--lang", "zh").code == 0
    assert text("diagnosis.not-reset.title", "zh") in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_as_json(gradviz: Command, tmp_path: Path) -> None:
    told = json.loads(gradviz("report", "never-resets", "-o", "r.html", "--json").out)
    assert told["report"] == str(tmp_path / "r.html")
    assert told["bytes"] == (tmp_path / "r.html").stat().st_size
    assert told["findings"]["error"] == 1


def test_a_language_that_is_not_there(gradviz: Command) -> None:
    answer = gradviz("report", "never-resets", "--lang", "xx")
    assert answer.code == 2
    assert answer.err == "gradviz: There is no report in 'xx'. Languages: en, zh.\n"


def test_a_run_that_is_not_there(gradviz: Command) -> None:
    answer = gradviz("report", "no-such-run")
    assert answer.code == 2
    assert "not found" in answer.err
