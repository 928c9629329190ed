"""Accumulation: does the gradient build up, and does it start from zero again?"""

from __future__ import annotations

import dashboard_accumulation as parts
import streamlit as st
from dashboard_accumulation_choice import ask
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run

PARAMETERS = (
    "lang", "run", "layer", "group", "statistic", "scale", "arrange", "windows", "window", "part",
)  # fmt: skip


def draw(reading: Reading) -> None:
    """Headline, sawtooth, build-up beside one window, agreement over time, ledger."""
    above = st.container()  # the answer stands above the choices, and depends on them
    choice = ask(reading)
    if choice is None:
        return
    with above, section("accumulation.headline", heading=False):
        parts.headline(reading, choice)
    with section("accumulation.sawtooth", heading=False):
        parts.sawtooth_part(reading, choice)
    part = parts.choose_part(reading, choice)
    left, right = st.columns(2, gap="large")
    with left, section("accumulation.build_up", heading=False):
        parts.build_up_part(reading, part, choice)
    with right, section("accumulation.waterfall", heading=False):
        parts.waterfall_part(reading, part, choice)
    with section("accumulation.over_time", heading=False):
        parts.over_time_part(reading, part, choice)
    with section("accumulation.ledger"):
        parts.ledger_part(reading, part, choice)


show_run("accumulation", draw, parameters=PARAMETERS)
