"""The page Runs keeps up: a run that begins or ends while the page is open shows up by itself."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from dashboard_catalogue import Shelf, shelves

LOOK_SECONDS = 5.0  # a listing of 10,000 runs that have ended takes some 0.2 s


def keep_up(drawn: Sequence[Shelf]) -> None:
    """Look at the folders again and again; the page is drawn anew once they hold another run, or one stands otherwise.

    What a live run adds meanwhile is no reason: a table that is drawn anew loses where it was scrolled to.
    """
    before = _standing(drawn)

    def look() -> None:
        if _standing(shelves()) != before:
            st.rerun()

    st.fragment(look, run_every=LOOK_SECONDS)()


def _standing(found: Sequence[Shelf]) -> dict[str, object]:
    faults: dict[str, object] = {shelf.name: shelf.fault for shelf in found}
    return faults | {run_id: summary.state for shelf in found for run_id, summary in shelf.runs.items()}
