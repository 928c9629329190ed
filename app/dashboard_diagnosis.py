"""The parts of the diagnosis page: how much was found, the findings, what was checked."""

from __future__ import annotations

from collections import Counter

import dashboard_view as view
import streamlit as st
from dashboard_accumulation import METRIC_WIDTH, MOST_LAYERS
from dashboard_columns import texts
from dashboard_findings import draw_evidence
from dashboard_reading import Picture, Reading
from dashboard_saving import draw_picture, picture_head
from dashboard_sections import section, show_table
from dashboard_words import language, literal, printable, say, say_plain

from gradviz.diagnostics import Diagnosis, Finding, Level
from gradviz.diagnostics.wording import missing_of, title_of, wording

COLOURS = {Level.ERROR: "red", Level.WARNING: "orange", Level.INFO: "blue"}
ICONS = {
    Level.ERROR: ":material/error:",
    Level.WARNING: ":material/warning:",
    Level.INFO: ":material/info:",
}
NAMED = 6  # layers that are named in a line; more go into a list that opens
AROUND = 4  # windows shown before and after the one that a link leads to
ALWAYS_OPEN = 3  # findings that are open though they are only information


def headline(found: Diagnosis) -> None:
    """How many findings of each level, and how many checks."""
    levels = Counter(finding.level for finding in found.findings)
    counts = {str(level): levels[level] for level in reversed(Level)}
    counts |= {"checked": len(found.checked), "unknown": len(found.unknown)}
    with st.container(horizontal=True, gap="medium", key="numbers"):
        for name, count in counts.items():
            label, hint = say(f"diagnosis.count.{name}"), say(f"diagnosis.count_help.{name}")
            st.metric(label, str(count), help=hint, width=METRIC_WIDTH)
    if found.windows < found.windows_total:
        st.caption(say("diagnosis.part", windows=found.windows, total=found.windows_total))


def findings_part(reading: Reading, found: Diagnosis) -> None:
    """A card each, the worst first; without any, what that means."""
    if not found.findings:
        _nothing(found)
    for place, finding in enumerate(found.findings):
        _card(reading, place, finding, is_open=finding.level is not Level.INFO or place < ALWAYS_OPEN)


def checks_part(found: Diagnosis) -> None:
    """Every check there is: found, not found, or not possible and why."""
    codes = {finding.code for finding in found.findings}
    needs = missing_of(found.unknown, language())
    states = {code: "found" if code in codes else "clear" for code in found.checked}
    states |= dict.fromkeys(found.unknown, "unknown")
    order = ("found", "unknown", "clear")
    rows = [
        {
            "state": say_plain(f"diagnosis.state.{state}"),
            "check": title_of(code, language()),
            "needs": needs.get(code, ""),
            "code": code,
        }
        for code, state in sorted(states.items(), key=lambda pair: order.index(pair[1]))
    ]
    columns = texts("checks", state=110, check=400, needs=470, code=150)
    if not needs:
        del columns["needs"]
        rows = [{name: cell for name, cell in row.items() if name != "needs"} for row in rows]
    show_table("diagnosis.checks", rows, columns)


def _nothing(found: Diagnosis) -> None:
    counts = {"checked": len(found.checked), "windows": found.windows, "unknown": len(found.unknown)}
    if not found.checked or not found.windows:
        st.info(say("diagnosis.nothing_yet", **counts), icon=":material/hourglass_empty:")
    else:
        key = "diagnosis.nothing" if found.unknown else "diagnosis.nothing_all"
        st.success(say(key, **counts), icon=":material/check_circle:")


def _card(reading: Reading, place: int, finding: Finding, *, is_open: bool) -> None:
    words = wording(finding, language())
    label = f":{COLOURS[finding.level]}[**{words.level}**]  ·  **{literal(words.title)}**"
    where = _where(finding)
    label += f"  ·  {where}" if where else ""
    name = f"{finding.code}.{place}"
    with (
        st.expander(label, expanded=is_open, icon=ICONS[finding.level], key=f"finding.{name}"),
        section("diagnosis.findings", heading=False),
    ):
        st.markdown(literal(words.meaning))
        said, shown = st.columns([5, 6], gap="large")
        with said:
            st.markdown(f"**{say('diagnosis.why')}**")
            st.markdown(literal(words.why))
            _layers(finding, words.why)
            st.markdown(f"**{say('diagnosis.advice')}**")
            st.markdown(literal(words.advice))
            st.code(words.paste, language="python", wrap_lines=True)
        with shown:
            picture = draw_evidence(reading, place, finding, language())
            if picture is not None:
                _evidence(name, picture)
        if finding.update is not None:
            _links(reading, finding, finding.update)


def _evidence(name: str, picture: Picture) -> None:
    with picture_head(f"evidence.{name}", picture):
        st.markdown(f"**{literal(picture.title)}**", width="content")
    st.caption(literal(picture.sentence))
    if picture.figure is not None:
        draw_picture(f"evidence.{name}", picture)


def _where(finding: Finding) -> str:
    if finding.update is None:
        return ""
    if finding.micro_step is None:
        return say("diagnosis.where_update", update=finding.update)
    if finding.micro_step == 0:
        return say("diagnosis.where_reset", update=finding.update)
    return say("diagnosis.where_micro_step", update=finding.update, micro_step=finding.micro_step)


def _layers(finding: Finding, why: str) -> None:
    """The layers concerned, unless the sentence has named them all."""
    names = finding.layers
    if all(name in why for name in names):
        return
    if len(names) <= NAMED:
        st.caption(say("diagnosis.layers", names=say_plain("diagnosis.comma").join(names)))
        return
    with st.popover(say("diagnosis.all_layers", count=len(names)), icon=":material/layers:"):
        st.code("\n".join(map(printable, names)), language=None, height=300)


def _links(reading: Reading, finding: Finding, update: int) -> None:
    """To the sawtooth around the place, and to all layers at it."""
    first, last = reading.windows
    around = f"{max(update - AROUND, first)}-{min(update + AROUND, last)}"
    here = {name: view.values(name) for name in ("lang", "run", "rank") if view.values(name)}
    known = set(reading.layers)
    layers = [name for name in finding.layers if name in known][:MOST_LAYERS]
    sawtooth = here | {"windows": [around], "window": [str(update)]} | ({"layer": layers} if layers else {})
    moment = {None: [], 0: ["reset"]}.get(finding.micro_step, [str(finding.micro_step)])
    flow = here | {"window": [str(update)]} | ({"moment": moment} if moment else {})
    with st.container(horizontal=True, gap="medium"):
        st.page_link(
            "app_pages/accumulation.py",
            label=say("diagnosis.to_accumulation", update=update),
            icon=":material/stacked_line_chart:",
            query_params=sawtooth,
        )
        st.page_link(
            "app_pages/gradient_flow.py",
            label=say("diagnosis.to_flow"),
            icon=":material/bar_chart:",
            query_params=flow,
        )
