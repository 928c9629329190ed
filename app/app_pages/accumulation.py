"""Accumulation: does the gradient build up, and does it start from zero again?"""

from __future__ import annotations

import dashboard_accumulation as parts
import streamlit as st
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run
from dashboard_words import say


def draw(reading: Reading) -> None:
    """Headline, sawtooth, build-up beside one window, ledger."""
    question = parts.ask(reading)
    if not question.layers:
        st.info(say("empty.layers"), icon=":material/layers:")
        return
    with section("accumulation.headline", heading=False):
        parts.headline(reading, question)
    with section("accumulation.sawtooth", heading=False):
        parts.sawtooth_part(reading, question)
    layers, update = parts.choose_part(reading, question)
    left, right = st.columns(2, gap="large")
    with left, section("accumulation.build_up", heading=False):
        parts.build_up_part(reading, layers, question)
    with right, section("accumulation.waterfall", heading=False):
        parts.waterfall_part(reading, layers, update, question)
    with section("accumulation.ledger"):
        parts.ledger_part(reading, layers, question)


show_run(
    "accumulation",
    draw,
    parameters=("lang", "run", "layer", "statistic", "scale", "windows", "window", "part"),
)
