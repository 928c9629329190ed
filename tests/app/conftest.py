"""One dashboard per test: its own folder of runs, no cache shared with the test before; and a served one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Browser
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from tests.app.browsing import HOSTILE, Visit, visits
from tests.app.opening import APP, Open
from tests.app.recorded import record_run
from tests.app.served import Server, serve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the dashboard shows as the reader's own; not made yet."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("GRADVIZ_DIR", str(runs))
    return runs


@pytest.fixture
def open_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """`open_page("accumulation", run="...", layer=[...])` opens a link of the dashboard."""
    st.cache_data.clear()
    st.cache_resource.clear()
    # every AppTest looks through all installed packages for components, which takes longer than a page
    monkeypatch.setattr(BidiComponentManager, "discover_and_register_components", lambda *_, **__: None)

    def opened(page: str = "runs", /, **parameters: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(APP / "dashboard.py"), default_timeout=60)
        app.query_params.update(parameters)
        if page != "runs":  # the page that opens by itself
            app.switch_page(f"app_pages/{page}.py")
        return app.run()

    yield opened
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard over a healthy run and one whose names are hostile; browser tests of every page share it."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "runs"
    record_run(folder, "healthy", windows=[4] * 24 + [2])
    names = [HOSTILE, f"<img src='{HOSTILE[4:-1]}'>", "head.weight"]
    record_run(folder, HOSTILE, layers=names, model_class=HOSTILE, resets=False)  # a finding names them too
    with serve(folder, home) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Open a page; at the end no request has left this machine and no error was logged."""
    with visits(browser, server) as visited:
        yield visited
