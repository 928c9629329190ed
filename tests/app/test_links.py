"""A link opens the same view again; a hostile one opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from dashboard_catalogue import is_plausible

from tests.app.opening import PAGES, Open, assert_sound, spoken
from tests.app.recorded import NAMES, record_run

HOSTILE_IDS = [
    "..",
    "../..",
    "../runs",
    "a/../b",
    "a/..",
    "./a",
    ".",
    "/",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "~",
    "~root/x",
    "C:",
    "C:\\Windows",
    "c:/windows",
    "z:run",
    "\\\\server\\share",
    "a\\b",
    "..\\..",
    "a\x00b",
    "\x00",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1bb",
    "samples:..",
    "samples:../app",
    "samples:/etc",
    "samples:",
    "samples:C:",
    "samples:a\\b",
    "samples:~",
    "samples:a/../../b",
    "samples:.",
    "samples://x",
    "samples:a\x00",
    "\\",
    "",
]
UNKNOWN_IDS = ["no-such-run", "%2e%2e%2f", "samples:no-such-run", "<script>", "![](a)"]


@pytest.mark.parametrize("run_id", HOSTILE_IDS)
def test_hostile_ids_are_refused_by_their_letters(run_id: str) -> None:
    assert not is_plausible(run_id)


@pytest.mark.parametrize("run_id", ["a", "a/b", "20260101-120000-name-ab12", "samples:never-resets", "重み"])
def test_ids_of_runs_are_plausible(run_id: str) -> None:
    assert is_plausible(run_id)


def test_a_hostile_link_gets_one_friendly_sentence(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    app = open_page("accumulation", run=path.name)
    for run_id in filter(None, HOSTILE_IDS):
        app.query_params["run"] = run_id
        app.run()
        assert_sound(app)
        assert ["does not name a run" in warning.value for warning in app.warning] == [True], run_id
        assert not app.metric


def test_a_link_to_a_run_that_is_not_there(open_page: Open, folder: Path) -> None:
    path = record_run(folder)
    app = open_page("gradient_flow", run=path.name)
    for run_id in UNKNOWN_IDS:
        app.query_params["run"] = run_id
        app.run()
        assert_sound(app)
        assert ["any more" in warning.value for warning in app.warning] == [True], run_id
        assert "](" not in app.warning[0].value


def test_a_link_to_a_run_that_began_after_the_last_listing(open_page: Open, folder: Path) -> None:
    app = open_page("accumulation", run=record_run(folder).name)
    later = record_run(folder, "later").name
    app.query_params["run"] = later
    app.run()
    assert_sound(app)
    assert not app.warning
    assert app.selectbox(key="widget.run").value == later


def test_a_link_opens_the_same_view(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 30)
    record_run(folder, "another")
    asked = {
        "run": path.name,
        "layer": [NAMES[2], NAMES[0]],
        "statistic": "l2",
        "scale": "log",
        "windows": "3-9",
        "window": "5",
        "part": NAMES[2],
        "lang": "zh",
    }
    app = open_page("accumulation", **asked)
    assert_sound(app)
    assert app.multiselect(key="widget.layer").value == [NAMES[2], NAMES[0]]
    assert app.slider(key="widget.windows").value == (3, 9)
    assert app.slider(key="widget.window").value == 5
    assert app.selectbox(key="widget.part").value == NAMES[2]
    assert app.title[0].value == "梯度累积"
    assert app.query_params == asked


def test_the_ledger_shows_the_windows_of_the_link(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 30)
    app = open_page("accumulation", run=path.name, windows="3-9")
    assert list(app.dataframe[0].value["update"]) == list(range(3, 10))


def test_a_choice_is_written_into_the_url(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 30)
    app = open_page("accumulation", run=path.name)
    app.slider(key="widget.windows").set_range(2, 5).run()
    app.multiselect(key="widget.layer").set_value([NAMES[1]]).run()
    assert_sound(app)
    assert app.query_params["windows"] == "2-5"
    assert app.query_params["layer"] == NAMES[1]
    assert app.query_params["run"] == path.name


def test_the_back_button_takes_the_choice_back(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 30)
    app = open_page("accumulation", run=path.name, windows="2-5")
    app.slider(key="widget.windows").set_range(6, 9).run()
    app.query_params["windows"] = "2-5"
    app.run()
    assert app.slider(key="widget.windows").value == (2, 5)


def test_the_view_goes_along_to_the_next_page(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 6)
    record_run(folder, "another")
    app = open_page("accumulation", run=path.name, window="2")
    app.query_params.clear()  # as a link of the navigation does
    app.switch_page("app_pages/gradient_flow.py").run()
    assert_sound(app)
    assert app.query_params["run"] == path.name
    assert app.slider(key="widget.window").value == 2


NONSENSE: list[dict[str, str | list[str]]] = [
    {"windows": "9-3"},
    {"windows": "0-99999999999999999999"},
    {"windows": "-1-5"},
    {"windows": "a-b"},
    {"windows": "٣-٩"},
    {"window": "1e9"},
    {"window": "-7"},
    {"window": "²"},
    {"statistic": "'; drop"},
    {"scale": "cubic"},
    {"layer": "no.such.layer"},
    {"layer": [f"layer{i}" for i in range(1000)]},
    {"part": "x" * 5000},
    {"moment": "edit-99~7"},
    {"lang": "xx"},
    {"page": "0"},
    {"filter": "\x00[("},
]


@pytest.mark.parametrize("page", PAGES)
def test_nonsense_in_a_link_falls_back_to_the_default(open_page: Open, folder: Path, page: str) -> None:
    path = record_run(folder)
    app = open_page(page, run=path.name)
    for asked in NONSENSE:
        app.query_params.clear()
        app.query_params.update({"run": path.name} | asked)
        app.run()
        assert_sound(app)
        assert not app.warning


@pytest.mark.parametrize(
    ("moment", "title"), [("reset", "before window 1"), ("2", "micro-step 2"), ("update", "consumed")]
)
def test_a_moment_of_the_link_is_shown(open_page: Open, folder: Path, moment: str, title: str) -> None:
    path = record_run(folder)
    app = open_page("gradient_flow", run=path.name, window="1", moment=moment)
    assert_sound(app)
    assert title in spoken(app).replace("\\", "")


@pytest.mark.parametrize(("language", "title"), [("en", "Runs"), ("zh", "运行")])
def test_the_language_of_the_link(open_page: Open, language: str, title: str) -> None:
    app = open_page(lang=language)
    assert app.title[0].value == title


def test_the_language_switch(open_page: Open) -> None:
    app = open_page()
    app.segmented_control(key="widget.lang").set_value("zh").run()
    assert app.title[0].value == "运行"
    assert app.query_params["lang"] == "zh"
