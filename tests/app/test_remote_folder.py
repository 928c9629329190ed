"""The reader's folder of runs is a URL: its runs are listed and shown, or a sentence says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

URL = "memory://bucket/runs"


@pytest.fixture(autouse=True)
def own_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert folder.name == "runs"  # its fixture sets the variable that is set here, and comes first
    monkeypatch.setenv("GRADVIZ_CACHE", str(tmp_path / "cache"))
    yield
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def test_the_runs_of_a_url(open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_run(folder, windows=[2] * 6)
    fsspec.filesystem("memory").put(str(run), f"/bucket/runs/{run.name}", recursive=True)
    monkeypatch.setenv("GRADVIZ_DIR", URL)
    listed = open_page("runs")
    assert_sound(listed)
    assert "small" in str(listed.dataframe[0].value)
    shown = open_page("accumulation", run=run.name)
    assert_sound(shown)
    assert len(shown.get("plotly_chart")) > 0


def test_a_url_that_cannot_be_reached(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADVIZ_DIR", "nowhere://runs")
    app = open_page("runs")
    assert not app.exception
    assert "nowhere" in app.error[0].value
    assert "cannot be reached" in spoken(app)
