"""A long run is examined beside the server: the page says how far it is, and can be left."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from dashboard_words import literal

import gradviz
from gradviz.diagnostics.wording import title_of
from gradviz.texts import text
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import open_writer, record_run, write_windows

ANY_RUN_IS_LONG = 10  # rows


@pytest.fixture
def module(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> Any:
    open_page()  # loads the modules of the app
    loaded = sys.modules["dashboard_examining"]
    monkeypatch.setattr(loaded, "ROWS_AT_ONCE", ANY_RUN_IS_LONG)
    for limit in ("PATIENCE", "REST"):  # seconds: a busy machine may take its time
        monkeypatch.setattr(loaded, limit, 3600.0)
    return loaded


def wait_for(module: Any) -> Any:
    (one,) = module._examinations().values()
    one.thread.join()
    return one


def test_the_page_answers_at_once_and_the_findings_follow(open_page: Open, folder: Path, module: Any) -> None:
    path = record_run(folder, windows=[4] * 6, resets=False)
    app = open_page("diagnosis", run=path.name)
    assert_sound(app)
    assert not app.expander
    assert len(app.get("progress")) == 1
    assert text("app.diagnosis.examining.first") in spoken(app)
    assert wait_for(module).is_current
    app.run()
    assert_sound(app)
    found = gradviz.diagnose(gradviz.open_run(path))
    assert [literal(title_of(one.code)) in card.label for one, card in zip(found, app.expander, strict=True)]
    assert not app.get("progress")


def test_a_page_that_is_left_ends_the_work(
    open_page: Open, folder: Path, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_run(folder, windows=[4] * 6)
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    open_page("diagnosis", run=path.name)
    left = wait_for(module)
    assert left.found is None
    monkeypatch.setattr(module, "PATIENCE", 3600.0)
    open_page("diagnosis", run=path.name)
    begun_again = wait_for(module)
    assert begun_again is not left
    assert begun_again.is_current


def test_a_failure_is_a_card(open_page: Open, folder: Path, module: Any) -> None:
    path = record_run(folder, windows=[4] * 6)
    app = open_page("diagnosis", run=path.name)
    wait_for(module)
    module._examinations().clear()
    opened = module.examine_apart
    module.examine_apart = lambda *_: opened(path / "elsewhere")
    try:
        app.run()
        wait_for(module)
        app.run()
    finally:
        module.examine_apart = opened
    assert_sound(app)
    assert "elsewhere" in spoken(app)


def test_a_run_that_grows_is_shown_as_it_was_until_it_is_examined_again(
    open_page: Open, folder: Path, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(folder)
    try:
        event = write_windows(writer, [2] * 6)
        assert writer.flush()
        open_page("diagnosis", run=writer.path.name)
        wait_for(module)
        app = open_page("diagnosis", run=writer.path.name)
        assert [metric.value for metric in app.metric][:2] == ["0", "0"]
        write_windows(writer, [2] * 6, resets=False, first_update=6, first_event=event)
    finally:
        writer.close()
    app.run()
    assert [metric.value for metric in app.metric][:2] == ["0", "0"]
    assert not app.get("progress")
    monkeypatch.setattr(module, "REST", -1.0)
    app.run()
    assert_sound(app)
    assert text("app.diagnosis.examining.again") in spoken(app)
    wait_for(module)
    app.run()
    assert any(literal(title_of("not-reset")) in card.label for card in app.expander)


def test_no_two_long_runs_are_examined_at_once(open_page: Open, folder: Path, module: Any) -> None:
    path = record_run(folder, windows=[4] * 6)
    with module._ONE_AT_A_TIME:
        open_page("diagnosis", run=path.name)
        (one,) = module._examinations().values()
        assert one.thread.is_alive()
        assert one.done == 0
        assert threading.active_count() > 1
    wait_for(module)
    assert one.is_current
