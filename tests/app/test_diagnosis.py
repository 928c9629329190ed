"""The page Diagnosis and the findings of the table of runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from dashboard_words import literal

import gradviz
from gradviz.diagnostics import CHECKS, Diagnosis, Finding, Level
from gradviz.diagnostics.wording import title_of, wording
from gradviz.store import sample_folder
from gradviz.texts import LANGUAGES, text
from tests.app.opening import Open, assert_sound, spoken
from tests.app.recorded import NAMES, open_writer, record_run, write_windows
from tests.app.test_pages import HOSTILE

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))


def found_in(path: Path) -> list[Finding]:
    return gradviz.diagnose(gradviz.open_run(path))


def cards(app: object) -> list[str]:
    return [one.label for one in app.expander]  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_finding_has_a_card_with_its_words(open_page: Open, sample: str, language: str) -> None:
    app = open_page("diagnosis", run=f"samples:{sample}", lang=language)
    assert_sound(app)
    findings = found_in(sample_folder() / sample)
    assert len(cards(app)) == len(findings)
    for label, finding in zip(cards(app), findings, strict=True):
        words = wording(finding, language)
        assert literal(words.title) in label
        said = spoken(app)
        assert all(literal(one) in said for one in (words.meaning, words.why, words.advice))
        assert words.paste in [block.value for block in app.code]
    drawn = sum(finding.series is not None for finding in findings)
    assert len(app.get("plotly_chart")) == drawn


def test_what_was_checked_is_all_there_is(open_page: Open) -> None:
    app = open_page("diagnosis", run="samples:never-resets")
    (table,) = (one.value for one in app.dataframe)
    assert set(table["code"]) == set(CHECKS)
    states = dict(zip(table["code"], table["state"], strict=True))
    assert states["not-reset"] == text("app.diagnosis.state.found")
    needing = set(table.loc[table["needs"] != "", "code"])
    assert needing == {code for code, state in states.items() if state == text("app.diagnosis.state.unknown")}
    assert dict(zip(table["code"], table["check"], strict=True)) == {code: title_of(code) for code in CHECKS}


def test_nothing_found_counts_what_was_and_what_could_not_be_checked(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[4] * 6)
    app = open_page("diagnosis", run=path.name)
    assert_sound(app)
    counts = [int(metric.value) for metric in app.metric]
    assert counts[:3] == [0, 0, 0]
    assert sum(counts[3:]) == len(CHECKS)
    (said,) = (one.value for one in app.success)
    assert f"{counts[3]} checks looked at 6 windows" in said
    assert f"{counts[4]} more could not be made" in said


def test_the_links_lead_to_the_place(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[2] * 40, poison=(21, 2))
    app = open_page("diagnosis", run=path.name, lang="zh")
    (finding,) = (one for one in found_in(path) if one.code == "nonfinite")
    assert (finding.update, finding.micro_step) == (21, 2)
    sawtooth, flow = app.get("page_link")[:2]
    assert sawtooth.proto.page == "accumulation"
    asked = dict(re.findall(r"(\w+)=([^&]*)", sawtooth.proto.query_string))
    assert asked["run"] == path.name
    assert (asked["windows"], asked["window"], asked["lang"]) == ("17-25", "21", "zh")
    assert asked["layer"] in NAMES
    asked = dict(re.findall(r"(\w+)=([^&]*)", flow.proto.query_string))
    assert (asked["window"], asked["moment"]) == ("21", "2")


def test_a_link_of_the_page_opens_that_view(open_page: Open, folder: Path) -> None:
    path = record_run(folder, windows=[2] * 40, poison=(21, 2))
    app = open_page("diagnosis", run=path.name)
    asked = dict(re.findall(r"(\w+)=([^&]*)", app.get("page_link")[0].proto.query_string))
    there = open_page("accumulation", **asked)
    assert_sound(there)
    assert there.slider(key="widget.windows").value == (17, 25)
    assert there.slider(key="widget.window").value == 21


def test_hostile_names_stay_letters(open_page: Open, folder: Path) -> None:
    path = record_run(folder, HOSTILE[0], layers=HOSTILE, resets=False)
    app = open_page("diagnosis", run=path.name)
    assert_sound(app)
    assert cards(app)
    said = [one.value for kind in ("markdown", "caption", "success") for one in app.get(kind)]
    assert any(literal(HOSTILE[0]) in one for one in said)
    assert not [one for one in [*said, *cards(app)] if re.search(r"\](?<!\\\])\(|(?<!\\)<", one)]


def test_a_live_run_is_diagnosed_as_far_as_it_is(open_page: Open, folder: Path) -> None:
    writer = open_writer(folder)
    try:
        event = write_windows(writer, [2, 2])
        app = open_page("diagnosis", run=writer.path.name)
        assert_sound(app)
        assert not cards(app)
        write_windows(writer, [2] * 6, resets=False, first_update=2, first_event=event)
    finally:
        writer.close()
    app.run()
    assert_sound(app)
    assert any(literal(title_of("not-reset")) in label for label in cards(app))


def verdicts(app: object) -> dict[str, str]:
    table = app.dataframe[0].value  # type: ignore[attr-defined]
    return dict(zip(table["name"], table["findings"], strict=True))


def test_the_table_of_runs_shows_the_worst_finding(open_page: Open, folder: Path) -> None:
    record_run(folder, "healthy", windows=[4] * 6)
    sick = record_run(folder, "sick", windows=[4] * 6, resets=False)
    found = found_in(sick)
    assert found[0].level is Level.ERROR
    app = open_page()
    assert_sound(app)
    assert verdicts(app) == {
        "healthy": text("app.verdict.none"),
        "sick": text("app.verdict.error", count=len(found)),
    }


def test_a_damaged_run_has_no_verdict_and_the_table_stands(open_page: Open, folder: Path) -> None:
    record_run(folder, "healthy", windows=[4] * 6)
    broken = record_run(folder, "broken", windows=[4] * 6)
    (broken / "run.json").write_text("{")
    app = open_page()
    assert_sound(app)
    assert text("app.verdict.unknown") in verdicts(app).values()
    assert verdicts(app)["healthy"] == text("app.verdict.none")


def test_a_run_that_is_too_long_is_not_examined_in_passing(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_run(folder, "long", windows=[4] * 6)
    open_page()
    monkeypatch.setattr(sys.modules["dashboard_examining"], "ROWS_AT_ONCE", 10)
    sys.modules["dashboard_findings"]._verdicts.clear()
    assert verdicts(open_page()) == {"long": text("app.verdict.large")}
    assert_sound(open_page("diagnosis", run=path.name))
    for one in sys.modules["dashboard_examining"]._examinations().values():
        one.thread.join()
    assert_sound(open_page("diagnosis", run=path.name))
    assert verdicts(open_page()) == {"long": text("app.verdict.none")}


def test_a_run_is_examined_once(open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record_run(folder, windows=[4] * 6)
    open_page("diagnosis", run=path.name)
    module = sys.modules["dashboard_findings"]
    looked: list[Path] = []
    examine = module.examine

    def counted(run: gradviz.Run) -> Diagnosis:
        looked.append(run.path)
        return examine(run)

    monkeypatch.setattr(module, "examine", counted)
    app = open_page("diagnosis", run=path.name)
    for _ in range(3):
        app.run()
    assert path not in looked  # the table of runs, which is opened first, looks at the samples meanwhile
