"""The page Accumulation: groups, small multiples, findings as marks, agreement over time, and what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from gradviz.store import Run
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import record_run

NAMES = [f"blocks.{block}.{name}" for block in range(7) for name in ("weight", "bias")]
NEVER, TRANSFORMER = "samples:never-resets", "samples:healthy-transformer-n8"


def said(app: AppTest) -> str:
    """Every word on the page, without the marks that keep names from being markup."""
    return spoken(app).replace("\\", "")


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The Plotly figures of the page, as the browser gets them."""
    return [json.loads(one.proto.spec) for one in app.get("plotly_chart")]


def legend(chart: dict[str, Any]) -> list[str]:
    return [
        trace["name"] for trace in chart["data"] if trace.get("showlegend") is not False and "name" in trace
    ]


def test_groups_stand_beside_layers_and_a_link_opens_them_again(open_page: Open, folder: Path) -> None:
    path = record_run(folder, layers=NAMES)
    asked = {"run": path.name, "layer": NAMES[0], "group": ["*", "blocks.3"], "part": "blocks.3"}
    app = open_page("accumulation", **asked)
    assert_sound(app)
    assert app.multiselect(key="widget.group").value == ["*", "blocks.3"]
    drawn = legend(charts(app)[0])
    assert {"blocks.0.weight", "the whole model (14 layers)", "blocks.3 (2 layers)"} <= set(drawn)
    assert app.selectbox(key="widget.part").value == "blocks.3"
    assert "How update 2 was built: blocks.3 (2 layers)" in said(app)
    assert app.query_params == asked


def test_a_group_needs_no_layer_beside_it(open_page: Open, folder: Path) -> None:
    app = open_page("accumulation", run=record_run(folder, layers=NAMES).name, group="blocks.1")
    assert_sound(app)
    assert app.multiselect(key="widget.layer").value == []
    assert legend(charts(app)[0])[0] == "blocks.1 (2 layers)"


def test_nonsense_groups_are_left_out(open_page: Open, folder: Path) -> None:
    app = open_page("accumulation", run=record_run(folder, layers=NAMES).name, group=["../..", "blocks.99"])
    assert_sound(app)
    assert app.multiselect(key="widget.group").value == []


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("statistic", ["mean_abs", "l2", "max_abs"])
def test_small_multiples_with_every_statistic_and_axis(open_page: Open, statistic: str, scale: str) -> None:
    asked = {"statistic": statistic, "scale": scale, "arrange": "panels", "group": ["*", "blocks"]}
    app = open_page("accumulation", run=TRANSFORMER, layer=["token.weight"], **asked)
    assert_sound(app)
    layout = charts(app)[0]["layout"]
    assert [note["text"] for note in layout["annotations"]] == [
        "<b>token.weight</b>",
        "<b>the whole model (42 layers)</b>",
        "<b>blocks (36 layers)</b>",
    ]
    assert layout["yaxis3"]["type"] == scale


def test_more_lines_than_can_be_told_apart_become_panels(open_page: Open, folder: Path) -> None:
    app = open_page("accumulation", run=record_run(folder, layers=NAMES).name, layer=NAMES)
    assert_sound(app)
    assert app.multiselect(key="widget.layer").value == NAMES[:12]
    assert "yaxis12" in charts(app)[0]["layout"]


def test_findings_are_stars_and_a_list_with_a_link(open_page: Open) -> None:
    app = open_page("accumulation", run=NEVER, windows="0-9")
    assert_sound(app)
    assert "finding: error" in legend(charts(app)[0])
    label = next(one.label for one in app.expander if "Found by the checks" in one.label)
    assert label.endswith(": 1")
    links = [link.proto for link in app.get("page_link")]
    assert [link.page for link in links if "findings" in link.label] == ["diagnosis"]
    later = open_page("accumulation", run=NEVER, windows="15-20")
    assert "finding: error" not in legend(charts(later)[0])


def test_a_long_run_is_not_examined_in_passing(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard_examining.ROWS_AT_ONCE", 100)
    app = open_page("accumulation", run=NEVER, windows="0-9")
    assert_sound(app)
    assert "too long for the checks" in said(app)
    assert "finding: error" not in legend(charts(app)[0])


def test_agreement_over_time_is_drawn_or_says_why_not(open_page: Open) -> None:
    app = open_page("accumulation", run=TRANSFORMER)
    assert_sound(app)
    assert "Do micro-batches agree, over time? whole model" in said(app)
    assert {"coherence: median", "noise scale", "95 % interval"} <= set(legend(charts(app)[-1]))
    never = open_page("accumulation", run=NEVER)
    assert len(charts(never)) == 2
    assert "Only 1 of 30 windows count" in said(never)


def test_the_waterfall_says_what_was_logged_with_the_micro_step_that_it_names(open_page: Open) -> None:
    app = open_page("accumulation", run=TRANSFORMER, window="99")
    assert "the largest of 8, number 6, made 16 %" in said(app)
    assert "Logged with it: loss 2.92, samples 8" in said(app)


def test_too_many_rows_are_cut_to_the_newest_windows_or_refused(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard_accumulation_choice.ROWS", 42 * 35)
    app = open_page("accumulation", run=TRANSFORMER, group="*", windows="0-9")
    assert_sound(app)
    assert "updates 7 to 9 are shown" in said(app)
    assert list(app.dataframe[0].value["update"]) == [7, 8, 9]
    monkeypatch.setattr("dashboard_accumulation_choice.ROWS", 42 * 5)
    refused = open_page("accumulation", run=TRANSFORMER, group="*")
    assert_sound(refused)
    assert "Even one window of 42 layers" in refused.warning[0].value


def test_of_a_long_run_only_what_is_shown_is_read(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, tuple[int, int] | None]] = []
    pieces, gradients = Run.pieces, Run.gradients

    def seen_pieces(run: Run, *columns: Any, **query: Any) -> Any:
        asked.append((len(query["layers"] or run.layers), query.get("updates")))
        return pieces(run, *columns, **query)

    def seen_gradients(run: Run, **query: Any) -> Any:
        asked.append((len(query["layers"] or run.layers), query["updates"]))
        return gradients(run, **query)

    monkeypatch.setattr(Run, "pieces", seen_pieces)
    monkeypatch.setattr(Run, "gradients", seen_gradients)
    monkeypatch.setattr("dashboard_examining.ROWS_AT_ONCE", 100)
    monkeypatch.setattr("dashboard_accumulation_counts.ROWS", 100)
    monkeypatch.setattr("dashboard_accumulation_pictures.STORY_ROWS", 100)
    monkeypatch.setattr("dashboard_accumulation_pictures.SPREAD_ROWS", 300)
    monkeypatch.setattr("dashboard_accumulation_pictures.READ_ROWS", 200_000)
    app = open_page("accumulation", run=TRANSFORMER)
    assert_sound(app)
    assert "of the layer token.weight alone" in said(app)
    assert "first, the middle and the last weight" in said(app)
    assert (1, None) in asked  # the counts of the whole run: of one layer
    assert all(layers == 1 for layers, updates in asked if updates is None)
    assert all(updates[1] - updates[0] <= 16 for layers, updates in asked if updates is not None)
    asked.clear()
    app.multiselect(key="widget.layer").set_value(["head.weight"]).run()
    assert asked == [(1, (84, 100))]  # the new layer's windows, and nothing that was read before


def test_a_long_ledger_shows_odd_windows_first(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard_accumulation.LEDGER_WINDOWS", 6)
    app = open_page("accumulation", run="samples:diverges-to-nan", windows="0-29")
    assert_sound(app)
    assert list(app.dataframe[0].value["update"]) == [14, 15, 16, 27, 28, 29]
    assert "Showing 6 of 30 windows" in said(app)


def test_the_page_begins_with_the_answer_and_with_a_whole_window(open_page: Open) -> None:
    app = open_page("accumulation", run="samples:healthy-digits-n4-short-last-window")
    assert_sound(app)
    kinds = [
        element.type for element in app.main if element.type in {"metric", "multiselect", "plotly_chart"}
    ]
    assert kinds.index("metric") < kinds.index("multiselect")
    assert app.slider(key="widget.window").value == 73  # the last of four micro-steps; 74 has one
    assert app.multiselect(key="widget.group").placeholder == "none yet: type or choose"


def test_a_loss_that_is_nan_is_said_and_one_that_is_unknown_is_a_dash(open_page: Open, folder: Path) -> None:
    app = open_page("accumulation", run="samples:diverges-to-nan", windows="8-29")
    assert_sound(app)
    table = app.dataframe[0].value
    assert table["loss"].tolist()[-1] == "NaN"
    assert table["loss"].notna().all()
    assert table["l2"].tolist()[-1] == "NaN"
    run = record_run(folder)
    for path in (run / "events").rglob("part-*"):
        path.write_bytes(b"rot")
    app = open_page("accumulation", run=run.name)
    assert_sound(app)
    assert app.dataframe[0].value["loss"].isna().all()
