"""What the reader zoomed to stays when the picture of a live run is drawn anew."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from dashboard_link import address

# A constant script: it sees nothing of a run, and shows nothing.
_keep = st.components.v2.component("zoom", js=Path(__file__).with_name("zoom.js").read_text(encoding="utf-8"))


def keep_zoom() -> None:
    """Until the reader asks for something else: a zoom into one picture says nothing about another."""
    _keep(key="zoom", data={"view": address()})
