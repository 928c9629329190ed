"""The page Compare: which runs, how they are aligned, where they part, and what it never does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gradviz.schema import Phase
from gradviz.texts import text
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import open_writer, record_run, write_windows
from tests.app.test_links import HOSTILE_IDS
from tests.comparable_runs import LAYERS, record_alike

HEALTHY, SICK = "samples:healthy-digits-n4-short-last-window", "samples:never-resets"
SIX = [
    HEALTHY,
    SICK,
    "samples:diverges-to-nan",
    "samples:vanishing-deep-sigmoid",
    "samples:mixed-precision-clipped",
    "samples:healthy-transformer-n8",
]


def said(app: AppTest) -> str:
    """What the page says, without the backslashes that keep names from being markup."""
    return spoken(app).replace("\\", "").replace("\u2060", "") + "".join(one.value for one in app.success)


def pictures(app: AppTest) -> list[dict[str, object]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_two_samples(open_page: Open) -> None:
    app = open_page("compare", runs=[HEALTHY, SICK])
    assert_sound(app)
    assert "They part at update 1, before its first micro-step" in said(app)
    assert "one of them did not reset them as the other did" in said(app)
    assert len(pictures(app)) == 4
    facts, findings = app.dataframe
    assert facts.value["run0"].tolist()[-2:] == ["0.1", "0.9"]
    assert findings.value["run1"].tolist()[0].endswith("error · 1")


def test_without_a_choice_the_run_looked_at_last_and_one_like_it(open_page: Open) -> None:
    app = open_page("compare", run=SICK)
    assert_sound(app)
    chosen = app.query_params["runs"]
    assert chosen[0] == SICK
    assert chosen[1] in (HEALTHY, "samples:diverges-to-nan")  # eight layers too


def test_six_runs(open_page: Open) -> None:
    app = open_page("compare", runs=SIX)
    assert_sound(app)
    curves = pictures(app)[0]["data"]
    assert len({trace["line"]["color"] for trace in curves if "line" in trace}) == 6  # type: ignore[union-attr, index]


def test_no_more_than_six(open_page: Open, folder: Path) -> None:
    more = record_alike(folder, "seventh")
    app = open_page("compare", runs=[*SIX, more.name])
    assert_sound(app)
    assert app.query_params["runs"] == SIX


def test_one_run_asks_for_another(open_page: Open) -> None:
    app = open_page("compare", runs=SICK)
    assert_sound(app)
    assert "Choose a second run" in said(app)
    assert not pictures(app)


def test_hostile_ids_open_nothing(open_page: Open) -> None:
    app = open_page("compare", runs=[HEALTHY, SICK])
    for run_id in filter(None, HOSTILE_IDS):
        app.query_params["runs"] = [HEALTHY, run_id]
        app.run()
        assert_sound(app)
        assert ["does not name a run" in warning.value for warning in app.warning] == [True], run_id
        assert "Choose a second run" in said(app)


def test_a_run_that_is_gone_is_named(open_page: Open, folder: Path) -> None:
    paths = [record_alike(folder, name) for name in "ab"]
    app = open_page("compare", runs=[path.name for path in paths])
    assert "The same to the last bit" in said(app)
    shutil.rmtree(paths[1])
    app.run()
    assert_sound(app)
    assert "not here (any more)" in said(app)


def test_the_same_training_twice(open_page: Open, folder: Path) -> None:
    app = open_page("compare", runs=[record_alike(folder, name).name for name in ("a", "b")])
    assert_sound(app)
    same, unfound = (one.value.replace("\\", "") for one in app.success)
    assert same == "The same to the last bit: 19 moments of 3 layers, up to update 3."
    assert unfound == "No check found anything in any of these runs."
    assert "exactly what a did, in every layer" in said(app)


@pytest.mark.parametrize(("tolerance", "parts"), [("1e-3", False), ("1e-5", True), ("nonsense", True)])
def test_the_tolerance_of_the_link(open_page: Open, folder: Path, tolerance: str, parts: bool) -> None:
    a = record_alike(folder, "a")
    b = record_alike(folder, "b", factors={(1, 2, Phase.MICRO_STEP): 1 + 1e-4})
    app = open_page("compare", runs=[a.name, b.name], base=a.name, other=b.name, tolerance=tolerance)
    assert_sound(app)
    assert ("They part at update 1, micro-step 2" in said(app)) == parts


def test_another_pair(open_page: Open) -> None:
    app = open_page("compare", runs=SIX[:3], base=SIX[2], other=SIX[1])
    assert_sound(app)
    assert "never-resets over diverges-to-nan" in said(app)
    assert [app.query_params[name] for name in ("base", "other")] == [SIX[2], SIX[1]]


def test_aligned_by_samples(open_page: Open, folder: Path) -> None:
    a, b = (record_alike(folder, name, samples=size) for name, size in (("a", 8), ("b", 16)))
    app = open_page("compare", runs=[a.name, b.name], by="samples")
    assert_sound(app)
    assert pictures(app)[0]["layout"]["xaxis"]["title"]["text"] == "samples so far"  # type: ignore[index]


def test_what_cannot_align_them_is_said(open_page: Open, folder: Path) -> None:
    a, b = record_alike(folder, "a", samples=8), record_alike(folder, "b")
    app = open_page("compare", runs=[a.name, b.name], by="samples")
    assert_sound(app)
    assert "Not by samples" in said(app)
    assert pictures(app)[0]["layout"]["xaxis"]["title"]["text"] == "update"  # type: ignore[index]


def test_gaps_are_not_counted_and_that_is_said(open_page: Open, folder: Path) -> None:
    a, b = record_alike(folder, "a", samples=8), record_alike(folder, "b", samples=8, missing={1})
    app = open_page("compare", runs=[a.name, b.name], by="samples")
    assert_sound(app)
    assert "b lacks events" in said(app)


def test_layers_each_have_a_panel(open_page: Open, folder: Path) -> None:
    a, b = record_alike(folder, "a"), record_alike(folder, "b", layers=LAYERS[:2])
    app = open_page("compare", runs=[a.name, b.name], layer=[LAYERS[0], LAYERS[2]])
    assert_sound(app)
    assert "One panel a layer" in said(app)
    assert "Only in a: 1 layers" in said(app)


def test_runs_of_one_name_are_told_apart(open_page: Open, folder: Path) -> None:
    paths = [record_alike(folder / place, "same") for place in ("one", "two")]
    app = open_page("compare", runs=[path.relative_to(folder).as_posix() for path in paths])
    assert_sound(app)
    assert all(f"same · {path.relative_to(folder).as_posix()}" in said(app) for path in paths)


def test_everything_or_only_what_differs(open_page: Open) -> None:
    different, everything = (
        open_page("compare", runs=[HEALTHY, SICK], facts=shown).dataframe[0].value
        for shown in ("different", "all")
    )
    assert len(different) < len(everything)
    assert (different["run0"] != different["run1"]).all()
    assert "layer" in " ".join(everything["kind"]).lower()


def test_a_long_run_is_read_in_blocks(open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard_compare_pictures.ROWS_AT_ONCE", 100)
    runs = [record_alike(folder, name, windows=(3,) * 40).name for name in "ab"]
    app = open_page("compare", runs=runs)
    assert_sound(app)
    assert "means over up to 16 updates" in said(app)
    assert "A column is the mean over up to 16 updates" in said(app)


def test_a_live_run_beside_a_finished_one(open_page: Open, folder: Path) -> None:
    path = record_run(folder, "done")
    writer = open_writer(folder, "live")
    try:
        write_windows(writer, [4, 4])
        app = open_page("compare", runs=[path.name, writer.path.name])
        assert_sound(app)
        assert [toggle.label for toggle in app.toggle] == ["Pause"]
        assert "live" in said(app)
    finally:
        writer.close()


def test_chinese(open_page: Open) -> None:
    app = open_page("compare", runs=[HEALTHY, SICK], lang="zh")
    assert_sound(app)
    assert "其中一个没有像另一个那样清零" in said(app)
    assert "healthy-digits-n4-short-last-window 中为" in said(app)  # not cut in two


def test_times_and_states_are_written_as_on_other_pages(open_page: Open) -> None:
    app = open_page("compare", runs=[HEALTHY, SICK], facts="all", lang="zh")
    facts = app.dataframe[0].value.set_index("fact")
    told = facts.loc[
        [text("comparison.fact.created", "zh"), text("comparison.fact.state", "zh")], "run0"
    ].tolist()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told[0])
    assert told[1] == text("app.state.finished", "zh")
