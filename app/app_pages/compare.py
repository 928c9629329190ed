"""Compare: what differs between several runs, from when on, and why?"""

from __future__ import annotations

from collections.abc import Sequence

import dashboard_compare as parts
import streamlit as st
from dashboard_compare_runs import Member, show_members
from dashboard_compare_tables import facts_part, findings_part
from dashboard_sections import section


def draw(members: Sequence[Member]) -> None:
    """Curves of all runs; of two of them, where they part and how far; what all say, and what was found."""
    choice = parts.ask(members)
    left, right = st.columns(2, gap="large")
    with left, section("compare.curves", heading=False):
        parts.curves_part(members, choice)
    with right, section("compare.losses", heading=False):
        parts.losses_part(members, choice)
    first, second, tolerance = parts.choose_pair(members)
    with section("compare.parting", heading=False):
        parts.parting_part(first, second, tolerance)
    with section("compare.map", heading=False):
        parts.map_part(first, second, choice)
    with section("compare.facts"):
        facts_part(members)
    with section("compare.findings"):
        findings_part(members)


show_members(
    draw,
    parameters=(
        "lang",
        "runs",
        "by",
        "layer",
        "statistic",
        "scale",
        "windows",
        "base",
        "other",
        "tolerance",
        "facts",
    ),
)
