"""A dashboard over the shipped samples alone: a link names a sample with or without its shelf."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradviz.store import sample_folder
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

NAME = "never-resets"
ANOTHER = "diverges-to-nan"


@pytest.fixture
def samples_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # after `folder`, which sets it too
    """The folder that the dashboard shows is that of the samples."""
    monkeypatch.setenv("GRADVIZ_DIR", str(sample_folder()))


@pytest.mark.parametrize("asked", [NAME, f"samples:{NAME}"])
def test_both_names_open_the_run(open_page: Open, samples_alone: None, asked: str) -> None:
    app = open_page("accumulation", run=asked)
    assert_sound(app)
    assert not app.warning
    assert app.selectbox(key="widget.run").value == f"samples:{NAME}"
    assert app.query_params["run"] == f"samples:{NAME}", "one view has one link"


def test_compare_takes_both_names_too(open_page: Open, samples_alone: None) -> None:
    app = open_page("compare", runs=[NAME, f"samples:{ANOTHER}"], base=ANOTHER)
    assert_sound(app)
    assert not app.warning
    assert app.multiselect(key="widget.runs").value == [f"samples:{NAME}", f"samples:{ANOTHER}"]
    assert app.selectbox(key="widget.base").value == f"samples:{ANOTHER}"


def test_a_name_that_no_sample_has_is_still_said_to_be_gone(open_page: Open, samples_alone: None) -> None:
    app = open_page("accumulation", run="no-such-run")
    assert_sound(app)
    assert "any more" in spoken(app)


def test_beside_a_folder_of_runs_a_bare_name_is_not_a_sample(open_page: Open, folder: Path) -> None:
    record_run(folder)
    app = open_page("accumulation", run=NAME)
    assert "any more" in app.warning[0].value
