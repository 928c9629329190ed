"""Findings as cards, and the table of what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradviz.diagnostics.wording import missing_of, title_of, wording
from gradviz.reporting.markup import Html, element
from gradviz.texts import text

if TYPE_CHECKING:
    from gradviz.diagnostics import Diagnosis, Finding

NAMES = 200  # layers listed of one finding


def finding_card(finding: Finding, evidence: Html | None, language: str) -> Html:
    """What it means, why we think so, what to do, and where."""
    words = wording(finding, language)
    where = _where(finding, language)
    told = [
        element("h4", text("app.diagnosis.why", language)),
        element("p", words.why),
        *_layers(finding, language),
        element("h4", text("app.diagnosis.advice", language)),
        element("p", words.advice),
        element("pre", words.paste),
    ]
    body = element("div", *told)
    head = element("h3", element("span", words.level, class_="level"), f" · {words.title}")
    return element(
        "article",
        head,
        *([element("p", where, class_="dim")] if where else []),
        element("p", words.meaning),
        body if evidence is None else element("div", body, evidence, class_="columns"),
        class_=f"card {finding.level}",
        id=f"finding-{finding.code}",
    )


def nothing_card(diagnosis: Diagnosis, language: str) -> Html:
    """What it means that nothing was found."""
    counts = {
        "checked": len(diagnosis.checked),
        "windows": diagnosis.windows,
        "unknown": len(diagnosis.unknown),
    }
    key = "nothing" if diagnosis.unknown else "nothing_all"
    key = key if diagnosis.checked and diagnosis.windows else "nothing_yet"
    sentence = text(f"app.diagnosis.{key}", language, **counts)
    return element("article", element("p", sentence), class_="card good" if key != "nothing_yet" else "card")


def checks_section(diagnosis: Diagnosis, language: str) -> Html:
    """Every check: found, not possible and what it would need, or not found."""
    found = {finding.code for finding in diagnosis.findings}
    needs = missing_of(diagnosis.unknown, language)
    states = {code: "found" if code in found else "clear" for code in diagnosis.checked}
    states |= dict.fromkeys(diagnosis.unknown, "unknown")
    order = ("found", "unknown", "clear")
    rows = [
        element(
            "tr",
            element("td", text(f"app.diagnosis.state.{state}", language)),
            element("td", title_of(code, language)),
            element("td", needs.get(code, "")),
            element("td", code),
        )
        for code, state in sorted(states.items(), key=lambda pair: order.index(pair[1]))
    ]
    heads = [
        element("th", text(f"app.checks.{name}", language)) for name in ("state", "check", "needs", "code")
    ]
    return scrolling(
        element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="checks")
    )


def scrolling(table: Html) -> Html:
    """A table that scrolls by itself where the window is narrow."""
    return element("div", table, class_="scroll", tabindex="0")


def _where(finding: Finding, language: str) -> str:
    if finding.update is None:
        return ""
    key = {None: "where_update", 0: "where_reset"}.get(finding.micro_step, "where_micro_step")
    return text(f"app.diagnosis.{key}", language, update=finding.update, micro_step=finding.micro_step)


def _layers(finding: Finding, language: str) -> list[Html]:
    names = finding.layers
    if len(names) < 2:
        return []
    listed = "\n".join(names[:NAMES])
    if len(names) > NAMES:
        listed += "\n" + text("report.and_more", language, count=len(names) - NAMES)
    summary = element("summary", text("report.all_layers", language, count=len(names)))
    return [element("details", summary, element("pre", listed))]
