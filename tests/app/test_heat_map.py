"""The heat-map page: what a link shows, what is looked for, and what lies behind a part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dashboard_heat_map as parts
import dashboard_heat_map_pictures as pictures
import pytest

from gradviz.schema import RunState
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import NAMES, open_writer, record_run, write_windows


def charts(app: Any) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def rows_shown(app: Any) -> list[str]:
    """The names at the axis of the map; the table has as many for the hover."""
    names = charts(app)[0]["layout"]["yaxis"]["labelalias"]
    return [names[str(row)] for row in range(len(names) // 2)]


def words(app: Any) -> str:
    return spoken(app).replace("\\", "")


@pytest.fixture
def run(folder: Path) -> str:
    return record_run(folder, windows=[2] * 40, poison=(20, 1)).name


def test_a_row_a_layer_and_a_column_an_update(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run)
    assert_sound(app)
    assert rows_shown(app) == list(NAMES)
    assert "A cell is one layer at one update." in words(app)
    assert "Cells with NaN or Inf: 1" in words(app)
    assert "Drag a box over the map" in words(app)


def test_groups_of_modules(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, depth="1", statistic="l2")
    assert_sound(app)
    assert rows_shown(app) == ["embed", "block", "head"]
    assert "norm of all layers of a group together at one update" in words(app)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_model_of_more_layers_than_rows_is_shown_by_its_modules(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 3)
    run = record_run(folder, windows=[2] * 4).name
    app = open_page("heat_map", run=run, lang=lang)
    assert_sound(app)
    assert rows_shown(app) == ["embed", "block.0", "head"]
    said = {"en": "a map has at most 3 rows", "zh": "一张图最多 3 行"}[lang]
    assert said in words(app)
    each = open_page("heat_map", run=run, lang=lang, depth="layers")
    assert rows_shown(each) == list(NAMES)
    assert said not in words(each)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", ["block.0.bias", "block.0.weight", "embed.weight", "head.weight"]),
        ("finding", ["embed.weight"]),
        ("change", ["embed.weight"]),  # it holds the value that is not finite
    ],
)
def test_orders(open_page: Open, run: str, order: str, expected: list[str]) -> None:
    app = open_page("heat_map", run=run, order=order)
    assert_sound(app)
    assert rows_shown(app)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("find", "match", "expected"),
    [
        ("WEIGHT block", "words", ["block.0.weight"]),
        (r"^block\.\d\.", "pattern", ["block.0.weight", "block.0.bias"]),
    ],
)
def test_layers_that_are_looked_for(
    open_page: Open, run: str, find: str, match: str, expected: list[str]
) -> None:
    app = open_page("heat_map", run=run, find=find, match=match)
    assert_sound(app)
    assert rows_shown(app) == expected
    assert f"{len(expected)} of 4 layers match" in words(app)


def test_what_is_no_pattern_is_said_without_a_traceback(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, find="[", match="pattern")
    assert_sound(app)
    assert "is not a regular expression" in app.warning[0].value
    assert not charts(app)
    assert "Traceback" not in words(app)


def test_nothing_matches(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, find="no such layer")
    assert_sound(app)
    assert "None of the 4 layers matches" in words(app)


def test_a_shorter_range(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, range="3-9")
    assert_sound(app)
    assert app.slider(key="widget.range").value == (3, 9)
    assert len(charts(app)[0]["data"][0]["z"]) > 0


def test_a_link_shows_the_part_that_was_selected(open_page: Open, run: str) -> None:
    asked = {"run": run, "from": NAMES[1], "to": NAMES[2], "updates": "5-8"}
    app = open_page("heat_map", **asked)
    assert_sound(app)
    assert app.query_params == asked
    assert "Selected: updates 5 to 8 of 2 rows, block.0.weight to block.0.bias" in words(app)
    assert len(charts(app)) == 3  # the map, its strip, and the sawtooth of the part
    frame = charts(app)[0]["layout"]["shapes"][0]
    assert (frame["x0"], frame["x1"], frame["y0"], frame["y1"]) == (4.5, 8.5, 0.5, 2.5)


def test_the_part_of_a_group_is_put_together(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, depth="1", rows="block", updates="5-8")
    assert_sound(app)
    assert "Selected: updates 5 to 8 of block" in words(app)
    assert len(charts(app)) == 3


def test_a_selection_that_is_not_on_the_map_is_none(open_page: Open, run: str) -> None:
    for other in (
        {"rows": "elsewhere"},
        {"from": NAMES[0], "to": "elsewhere"},
        {"rows": NAMES[0], "updates": "90-99"},
    ):
        app = open_page("heat_map", run=run, **other)
        assert_sound(app)
        assert "Drag a box over the map" in words(app)


def test_clearing_takes_the_selection_out_of_the_link(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run, rows=NAMES[1], updates="5-8")
    next(button for button in app.button if button.label == "Clear").click().run()
    assert_sound(app)
    assert "rows" not in app.query_params
    assert "updates" not in app.query_params


def test_a_long_run_is_drawn_from_blocks(open_page: Open, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROWS_AT_ONCE", 100)
    app = open_page("heat_map", run=run, statistic="l2", depth="1")
    assert_sound(app)
    assert "root mean square over up to 16 updates" in words(app)
    assert "drawn from its overview" in words(app)
    near = open_page("heat_map", run=run, rows=NAMES[0])
    assert_sound(near)
    assert "around the largest change" in words(near)


def test_rows_that_are_too_many_are_those_that_change_most(
    open_page: Open, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_ROWS", 2)
    app = open_page("heat_map", run=run)
    assert_sound(app)
    assert len(rows_shown(app)) == 2
    assert "the 2 of 4 layers that change most" in words(app)


def test_rows_can_be_chosen_by_name(open_page: Open, run: str) -> None:
    app = open_page("heat_map", run=run)
    app.multiselect(key="widget.rows").select(NAMES[1]).run()
    assert_sound(app)
    assert app.query_params["rows"] == NAMES[1]
    assert f"Selected: updates 0 to 39 of {NAMES[1]}" in words(app)
    app.multiselect(key="widget.rows").unselect(NAMES[1]).run()
    assert "Drag a box over the map" in words(app)


def test_where_there_is_no_map_nothing_is_offered_to_choose_from_it(open_page: Open, folder: Path) -> None:
    writer = open_writer(folder)
    write_windows(writer, [2], under_way=True)
    writer.flush()
    app = open_page("heat_map", run=writer.path.name)
    assert_sound(app)
    assert "No update was recorded" in words(app)
    assert "Drag a box" not in spoken(app)
    writer.close(RunState.FINISHED)
