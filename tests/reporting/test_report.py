"""The report of every kind of run: sound HTML with its policy, both languages, names as they are."""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

import pytest

import gradviz
from gradviz.errors import ReportError
from gradviz.reporting import report_html, write_report
from gradviz.store import sample_folder
from gradviz.texts import LANGUAGES, text
from tests.app.recorded import open_writer, record_run
from tests.app.test_odd_files import ODD, rewrite
from tests.app.test_pages import HOSTILE
from tests.reporting.reading import Page

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def page_of(path: Path, language: str = "en") -> Page:
    return Page(report_html(gradviz.open_run(path), language=language))


@pytest.mark.parametrize(
    ("path", "language"),
    list(zip(SAMPLES, cycle(LANGUAGES), strict=False)),
    ids=lambda one: getattr(one, "name", one),
)
def test_every_sample_run(path: Path, language: str) -> None:
    page = page_of(path, language)
    assert page.is_sound
    assert page.of("html") == [{"lang": language}]
    places = [one["data-figure"] for one in page.of("div") if "data-figure" in one]
    assert places == [one["id"] for one in page.of("script") if one.get("type") == "application/json"]
    assert all(figure["data"] for figure in page.figures)
    assert text("report.missing_picture", language) not in page.text
    for finding in gradviz.diagnose(gradviz.open_run(path)):
        assert text(f"diagnosis.{finding.code}.title", language) in page.text


@pytest.mark.parametrize("windows", [[4] * 12, [4] * 4])
def test_the_noise_over_the_run_or_why_there_is_none(tmp_path: Path, windows: list[int]) -> None:
    page = page_of(record_run(tmp_path, windows=windows))
    model = text("figure.word.model", "en")
    assert text("figure.noise_over_time.title", "en", layer=model) in page.text


def test_the_policy_comes_before_anything_that_it_rules() -> None:
    html = report_html(gradviz.open_run(SAMPLES[0]))
    policies = [one for one in Page(html).of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [{"http-equiv": "Content-Security-Policy", "content": POLICY}]
    assert html.index("Content-Security-Policy") < min(html.index("<style"), html.index("<script"))


def test_nothing_in_it_points_outside() -> None:
    page = page_of(SAMPLES[0])
    assert not page.of("link")
    assert not page.of("img")
    assert not [one for _, one in page.tags if {"src", "href", "action"} & one.keys()]


def test_plotly_is_inside() -> None:
    html = report_html(gradviz.open_run(SAMPLES[0]))
    assert "plotly.js v" in html
    assert 4_000_000 < len(html) < 7_000_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_are_shown_as_they_are(tmp_path: Path, language: str) -> None:
    path = record_run(
        tmp_path, HOSTILE[1], layers=HOSTILE, model_class="</script><script>alert(2)</script>", resets=False
    )
    html = report_html(gradviz.open_run(path), language=language)
    page = Page(html)
    assert page.is_sound
    names = {tag for tag, _ in page.tags}
    assert not names & {"img", "a", "iframe", "object"}
    assert page.of("script") == Page(
        report_html(gradviz.open_run(record_run(tmp_path, "plain", layers=list("abcdef"), resets=False)))
    ).of("script")
    assert HOSTILE[1] in page.text
    assert "</script><script>alert(2)</script>" in page.text
    for name in HOSTILE:
        assert name.replace("\u202e", "\\u202e") in page.text  # all layers of `not-reset`
    assert "\u202e" not in html


def test_a_thousand_layers_stay_usable_and_thinning_is_said(tmp_path: Path) -> None:
    path = record_run(tmp_path, windows=[2] * 6, layers=[f"blocks.{place}.weight" for place in range(1000)])
    html = report_html(gradviz.open_run(path))
    assert "Showing the 400 of 1000 layers that change most." in Page(html).text
    assert len(html) < 7_000_000


def test_many_windows_are_few_rows_with_a_visible_gap(tmp_path: Path) -> None:
    path = record_run(tmp_path, windows=[2] * 150)
    page = page_of(path)
    assert "60 of 150 windows" in page.text
    assert "⋮" in page.text
    assert "Updates 120 to 149" in page.text


def test_the_sawtooth_is_that_of_the_worst_finding(tmp_path: Path) -> None:
    path = record_run(tmp_path, windows=[2] * 100, poison=(50, 1))
    page = page_of(path)
    assert "Updates 35 to 64" in page.text
    assert re.search(r"Gradient flow, update 50, micro-step 1", page.text)


def test_a_run_that_has_just_started(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    try:
        page = page_of(writer.path)
    finally:
        writer.close()
    assert page.is_sound
    assert text("report.nothing_recorded") in page.text
    assert not page.figures


def test_a_run_of_one_micro_step(tmp_path: Path) -> None:
    assert page_of(record_run(tmp_path, windows=[1])).is_sound


@pytest.mark.parametrize("odd", ODD)
def test_numbers_and_times_that_none_of_ours_has(tmp_path: Path, odd: str) -> None:
    path = record_run(tmp_path)
    for name, entries in ODD[odd].items():
        rewrite(path / name, entries)
    assert page_of(path).is_sound


@pytest.mark.parametrize("damage", [b"", None], ids=["zero bytes", "flipped"])
def test_a_damaged_part_is_said(tmp_path: Path, damage: bytes | None) -> None:
    path = record_run(tmp_path, windows=[4] * 6)
    part = sorted((path / "gradients").rglob("*.parquet"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[:300] + bytes([whole[300] ^ 255]) + whole[301:] if damage is None else damage)
    page = page_of(path)
    assert page.is_sound
    assert part.name in page.text


def test_a_report_is_never_written_into_the_run(tmp_path: Path) -> None:
    run = gradviz.open_run(record_run(tmp_path, windows=[2]))
    with pytest.raises(ReportError, match="lies inside the run"):
        write_report(run, run.path / "report.html")
    assert not (run.path / "report.html").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    run = gradviz.open_run(record_run(tmp_path, windows=[2]))
    with pytest.raises(ReportError, match=r"cannot be written to .*missing/report.html"):
        write_report(run, tmp_path / "missing" / "report.html")


def test_what_was_written_is_told(tmp_path: Path) -> None:
    written = write_report(gradviz.open_run(sample_folder() / "never-resets"), tmp_path / "r.html")
    assert written.bytes == (tmp_path / "r.html").stat().st_size
    assert written.findings["error"] == 1
