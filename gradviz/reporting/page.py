"""One HTML file: everything that it needs is in it, and its policy lets nothing else in."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from gradviz import __version__
from gradviz.analysis.story_reading import run_story
from gradviz.diagnostics.examining import examine_story
from gradviz.errors import ReportError
from gradviz.figures import plot_evidence
from gradviz.reporting.findings import checks_section, finding_card, nothing_card
from gradviz.reporting.ledger import ledger_section
from gradviz.reporting.markup import Html, element, joined, verbatim
from gradviz.reporting.pictures import Album, Picture, picture
from gradviz.reporting.summary import facts_of
from gradviz.schema import Level
from gradviz.texts import text

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from gradviz.diagnostics import Diagnosis
    from gradviz.store import Run

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Written:
    """A report that was written: where, how large, and the findings of each level."""

    path: Path
    bytes: int
    findings: dict[str, int]


def write_report(run: Run, path: Path, *, language: str = "en") -> Written:
    """Write the report of `run` to `path`, replacing what is there.

    Raises ReportError where `path` lies inside the run folder, which a viewer never touches, or cannot be written.
    """
    path = path.expanduser().absolute()
    if path.resolve().is_relative_to(run.path.resolve()):
        raise ReportError(
            f"{path} lies inside the run itself, which is never written to. Choose another place."
        )
    content, diagnosis = _report(run, language)
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"The report cannot be written to {path}: {error.strerror or error}.") from error
    levels = Counter(str(finding.level) for finding in diagnosis.findings)
    return Written(path, path.stat().st_size, {str(level): levels[str(level)] for level in Level})


def report_html(run: Run, *, language: str = "en") -> str:
    """The report of `run` as one HTML document."""
    return _report(run, language)[0]


def _report(run: Run, language: str) -> tuple[str, Diagnosis]:
    story = run_story(run)
    diagnosis = examine_story(story)
    gallery = _Gallery(language)
    if run.last_event is None:
        sections = [element("p", text("report.nothing_recorded", language))]
    else:
        worst = diagnosis.findings[0] if diagnosis.findings else None
        pictures = Album(run, run.events(), language).pictures(worst)
        sections = [
            _section("findings", language, *_findings(diagnosis, gallery, language)),
            _section("pictures", language, *map(gallery.show, pictures)),
            _section("checks", language, checks_section(diagnosis, language)),
            _section("ledger", language, ledger_section(story, diagnosis, language)),
        ]
    # last, for a page that fails its checksum is found when it is read
    head = _head(run, diagnosis, facts_of(run, story, language), language)
    return _document(run.name, joined(head, *sections, _foot(language)), gallery, language), diagnosis


class _Gallery:
    """Hands out a place for each picture and keeps its data for the end of the page."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.figures: list[go.Figure] = []

    def show(self, one: Picture) -> Html:
        """Title, sentence and the place that the script draws into."""
        words = [element("h3", one.title), element("p", one.sentence, class_="dim")]
        if one.note:
            words.append(element("p", one.note, class_="dim"))
        if one.figure is not None:
            height = int(one.figure.layout.height or 400)
            name = f"figure-{len(self.figures)}"
            self.figures.append(one.figure)
            alt = f"{one.title}. {one.sentence}"
            style = f"min-height:{height}px"
            words.append(
                element("div", class_="figure", data_figure=name, role="img", aria_label=alt, style=style)
            )
        return element("div", *words, class_="picture")

    def scripts(self) -> Html:
        """The figures as data, which no parser of HTML can leave."""
        return joined(
            *(
                element("script", verbatim(_json(figure)), type="application/json", id=f"figure-{place}")
                for place, figure in enumerate(self.figures)
            )
        )


def _json(figure: go.Figure) -> str:
    plain = json.loads(figure.update_layout(template=None).to_json())
    letters = json.dumps(plain, ensure_ascii=True, separators=(",", ":"))
    return letters.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _document(name: str, body: Html, gallery: _Gallery, language: str) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{name} · gradviz"),
        element("style", verbatim(_own("report.css"))),
    )
    scripts = joined(
        gallery.scripts(),
        element("script", verbatim(get_plotlyjs())),
        element("script", verbatim(_own("report.js"))),
    )
    no_script = element("noscript", text("report.no_script", language))
    page = element("html", head, element("body", element("main", no_script, body), scripts), lang=language)
    return f"<!DOCTYPE html>\n{page}\n"


def _own(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _head(run: Run, diagnosis: Diagnosis, facts: Html, language: str) -> Html:
    levels = Counter(str(finding.level) for finding in diagnosis.findings)
    counts = {str(level): levels[str(level)] for level in reversed(Level)}
    counts |= {"checked": len(diagnosis.checked), "unknown": len(diagnosis.unknown)}
    items = (
        element("li", element("b", str(count)), text(f"app.diagnosis.count.{name}", language))
        for name, count in counts.items()
    )
    return element(
        "header",
        element("p", text("report.title", language), class_="dim"),
        element("h1", run.name),
        facts,
        element("ul", *items, class_="counts"),
    )


def _section(name: str, language: str, *children: Html) -> Html:
    return element("section", element("h2", text(f"report.section.{name}", language)), *children, id=name)


def _findings(diagnosis: Diagnosis, gallery: _Gallery, language: str) -> list[Html]:
    if not diagnosis.findings:
        return [nothing_card(diagnosis, language)]
    cards = []
    for finding in diagnosis.findings:
        evidence = None
        if finding.series is not None:
            figure = plot_evidence(finding.series, layers=finding.layers, language=language)
            evidence = gallery.show(picture(figure))
        cards.append(finding_card(finding, evidence, language))
    return cards


def _foot(language: str) -> Html:
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return element("footer", text("report.made", language, version=__version__, when=when))
