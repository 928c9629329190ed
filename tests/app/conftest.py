"""One dashboard per test: its own folder of runs, no cache shared with the test before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.app.opening import APP, Open


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the dashboard shows as the reader's own; not made yet."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("GRADVIZ_DIR", str(runs))
    return runs


@pytest.fixture
def open_page(folder: Path) -> Iterator[Open]:
    """`open_page("accumulation", run="...", layer=[...])` opens a link of the dashboard."""
    st.cache_data.clear()
    st.cache_resource.clear()

    def opened(page: str = "runs", /, **parameters: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(APP / "main.py"), default_timeout=60)
        app.run()
        app.query_params.update(parameters)
        app.switch_page(f"app_pages/{page}.py")
        return app.run()

    yield opened
    st.cache_data.clear()
    st.cache_resource.clear()
