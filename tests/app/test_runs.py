"""The page Runs where there is nothing to list, and what to do then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run


def test_a_file_in_the_place_of_the_folder_is_said_to_be_one(open_page: Open, folder: Path) -> None:
    folder.write_text("no folder")
    app = open_page()
    assert_sound(app)
    assert "is a file, not a folder" in app.warning[0].value
    assert any("gradviz view" in code.value for code in app.code)


def test_a_folder_that_may_not_be_read_says_so(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()  # the tests run as root, to whom nothing is closed
    listed = Path.iterdir

    def closed(path: Path) -> Iterator[Path]:
        if path == folder:
            raise PermissionError(path)
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", closed)
    app = open_page()
    assert_sound(app)
    assert "cannot be read" in app.warning[0].value


def test_a_filter_without_a_match_is_taken_back_with_a_click(open_page: Open, folder: Path) -> None:
    record_run(folder, "baseline")
    app = open_page("runs", filter="no such run")
    assert "matches" in spoken(app)
    app.button(key="clear.recorded").click().run()
    assert_sound(app)
    assert "filter" not in app.query_params
    assert "baseline" in str(app.dataframe[0].value)


def test_a_check_that_fails_becomes_a_card_and_the_tables_stay(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_run(folder)
    monkeypatch.setattr("dashboard_runs.look", lambda *_: 1 / 0)
    app = open_page("runs")
    assert not app.exception
    assert len(app.error) == 2, "one of each table, and none of Streamlit's own"
    assert len(app.dataframe) == 2
