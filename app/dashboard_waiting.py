"""What the diagnosis page shows of a long run until it has been examined."""

from __future__ import annotations

import streamlit as st
from dashboard_findings import diagnosis_of_long
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_words import say, say_plain

LOOK_EVERY = 0.5  # seconds


def waiting_part(reading: Reading) -> None:
    """How far it is; the page is drawn once more when it is done. Nothing where the run is examined as it stands."""
    if diagnosis_of_long(reading).is_current:
        return

    def stand() -> None:
        with section("diagnosis.examining", heading=False):
            one = diagnosis_of_long(reading)
            if one.is_current:
                st.rerun()
            done = say_plain("diagnosis.examining.done", percent=round(100 * one.done))
            st.progress(one.done, text=done)
            st.caption(say("diagnosis.examining.again" if one.found else "diagnosis.examining.first"))

    st.fragment(stand, run_every=LOOK_EVERY)()
