"""The page Runs beside a training: the run appears by itself, and so does how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from gradviz.schema import RunState
from tests.app.browsing import BROWSER_TEST, Visit, settle, visits
from tests.app.recorded import open_writer, write_windows
from tests.app.served import Server, serve

pytestmark = BROWSER_TEST


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Server]:
    """A dashboard on a folder that nobody has made yet."""
    with serve(tmp_path / "runs", tmp_path) as running:
        yield running


def test_a_run_that_begins_appears_without_a_click(browser: Browser, empty: Server) -> None:
    with visits(browser, empty) as visit:
        page = visit("")
        missing, tables = page.get_by_text("There is no folder"), page.get_by_test_id("stDataFrame")
        expect(missing).to_be_visible()
        expect(tables).to_have_count(1)  # of the samples
        writer = open_writer(empty.folder, "mine")
        write_windows(writer, [4, 4])
        writer.flush()
        expect(missing).to_have_count(0)
        expect(tables).to_have_count(2)
        cells = tables.first.locator("td")
        expect(cells.filter(has_text=re.compile(r"^\S live$"))).to_have_count(1)
        writer.close(RunState.FINISHED)
        expect(cells.filter(has_text=re.compile(r"^\S finished$"))).to_have_count(1)


def test_the_keyboard_goes_past_a_table_without_opening_a_run(visit: Visit) -> None:
    page = visit("")
    filtered = page.get_by_label("Filter", exact=True)
    filtered.focus()
    at_the_end = "document.activeElement === document.body || document.activeElement.tagName === 'HTML'"
    stops = 0
    while not page.evaluate(at_the_end) and stops < 60:
        page.keyboard.press("Tab")
        stops += 1
    assert stops < 40, "a table is one stop, however many cells it has"
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
