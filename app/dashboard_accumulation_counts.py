"""Counts over all windows of a run: of a few layers from their rows, of the windows from the events."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from dashboard_reading import KEPT, Reading, events

from gradviz.analysis.window_counts import COLUMNS, PHASES, WindowCounts, window_counts
from gradviz.store import Run

ROWS = 2_000_000  # read for them at most: of fewer layers than were chosen, if need be


@dataclass(frozen=True)
class Counts:
    """`layers` of those asked for were looked at: all, unless the run is very long."""

    record: WindowCounts
    layers: int

    @property
    def first_broken(self) -> int | None:
        """The first update that is not finite."""
        broken = self.record.update[self.record.broken]
        return int(broken[0]) if len(broken) else None


def counts(reading: Reading, layers: tuple[str, ...]) -> Counts:
    """The windows of the whole run, and how they stand in as many of `layers` as may be read."""
    each = max(len(events(reading.stamp, reading.run)), 1)
    few = layers[: max(ROWS // each, 1)]
    return Counts(_counts(reading.stamp, reading.run, few), len(few))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _counts(stamp: int, _run: Run, layers: tuple[str, ...]) -> WindowCounts:
    pieces = _run.pieces(COLUMNS, layers=layers, phases=PHASES) if layers else ()
    return window_counts(events(stamp, _run), pieces)
