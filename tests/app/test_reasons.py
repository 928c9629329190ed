"""A card that says why something cannot be shown says it in the reader's language, with the message as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dashboard_words import reason_of

from gradviz import errors
from gradviz.texts import catalogue
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

READING = ("RunNotFoundError", "RunFormatError", "DamagedPartError", "QueryError", "ExaminationError")


@pytest.mark.parametrize("kind", READING)
def test_what_reading_a_run_may_raise_has_its_own_sentence(kind: str) -> None:
    assert issubclass(getattr(errors, kind), errors.GradvizError)
    said = [catalogue("zh")[f"app.error.kind.{one}"] for one in (kind, "other")]
    assert said[0] != said[1]
    assert all("{message}" in one for one in said)


def test_the_message_stays_as_it_is() -> None:
    assert reason_of(errors.QueryError("No layer 'x'.")) == "No layer 'x'."
    assert reason_of(errors.ReportError("elsewhere")) == "elsewhere"


def test_a_damaged_run_says_so_in_chinese(open_page: Open, folder: Path) -> None:
    run = record_run(folder)
    shutil.copytree(run, folder / "other")
    app = open_page("diagnosis", run=run.name, lang="zh")
    (run / "run.json").write_text('{"format": "gradviz-run", "version": 999, "name": "small"}')
    app.session_state["opened"].clear()
    app.run()
    assert_sound(app)
    words = spoken(app).replace("\\", "")
    assert "来自更新的版本" in words
    assert "999" in words


def test_the_table_of_runs_says_in_chinese_why_a_run_cannot_be_opened(open_page: Open, folder: Path) -> None:
    run = record_run(folder)
    (run / "run.json").write_text('{"format": "gradviz-run", "version": 999, "name": "small"}')
    app = open_page("runs", lang="zh")
    assert_sound(app)
    said = app.dataframe[0].value["lost"].iloc[0]
    assert said.startswith("运行的说明文件")
    assert "999" in said
