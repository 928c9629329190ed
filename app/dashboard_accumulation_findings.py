"""What the checks found in the windows shown: as marks for the sawtooth, and as a list below it."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_accumulation_choice import Choice
from dashboard_examining import is_too_large
from dashboard_findings import diagnosis
from dashboard_reading import Reading
from dashboard_words import language, literal, say

from gradviz.analysis import PlaceMark
from gradviz.diagnostics import Finding
from gradviz.diagnostics.wording import wording
from gradviz.errors import GradvizError
from gradviz.schema import Level

COLOURS = {Level.ERROR: "red", Level.WARNING: "orange", Level.INFO: "blue"}


def finding_marks(reading: Reading, choice: Choice) -> tuple[PlaceMark, ...]:
    """Every finding that has a place among the windows shown; none of a run too long to be examined in passing."""
    return tuple(
        PlaceMark(finding.update, finding.micro_step, finding.level, _title(finding), finding.layers)
        for finding in _findings(reading)
        if finding.update is not None and choice.updates[0] <= finding.update <= choice.updates[1]
    )


def findings_part(reading: Reading, marks: tuple[PlaceMark, ...]) -> None:
    """What the stars of the picture are, in a list; or why there are none though there might be."""
    if is_too_large(reading):
        st.caption(say("accumulation.findings_not_read"))
        _link(say("accumulation.findings_to_examine"))
        return
    if not marks:
        return
    with st.expander(say("accumulation.findings", count=len(marks)), icon=":material/star:"):
        for mark in marks:
            where = "findings_at_update" if mark.micro_step is None else "findings_at_micro_step"
            place = say(f"accumulation.{where}", update=mark.update, micro_step=mark.micro_step)
            st.markdown(f":{COLOURS[mark.level]}[●] {literal(mark.title)}  ·  {place}")
        _link(say("accumulation.findings_to_diagnosis"))


def _findings(reading: Reading) -> tuple[Finding, ...]:
    if is_too_large(reading):
        return ()
    try:
        found = diagnosis(reading)
    except (GradvizError, OSError):  # damaged or gone: the parts below say so
        return ()
    return () if found is None else found.findings


def _title(finding: Finding) -> str:
    return wording(finding, language()).title


def _link(label: str) -> None:
    here = {name: view.values(name) for name in ("lang", "run", "rank") if view.values(name)}
    st.page_link("app_pages/diagnosis.py", label=label, icon=":material/stethoscope:", query_params=here)
