"""Counts over all windows of a run: of a few layers from their rows, of the windows from the events."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from dashboard_reading import KEPT, Reading, all_events

from gradviz.analysis.window_counts import COLUMNS, PHASES, WindowCounts, window_counts
from gradviz.store import Run

ROWS = 600_000  # read for them at most, of all layers together


@dataclass(frozen=True)
class Counts:
    """`layer` is the only one that was looked at, where the run is too long for all that were asked for."""

    record: WindowCounts
    layer: str | None

    @property
    def first_broken(self) -> int | None:
        """The first update that is not finite."""
        broken = self.record.update[self.record.broken]
        return int(broken[0]) if len(broken) else None


def counts(reading: Reading, layers: tuple[str, ...], instead: str) -> Counts:
    """The windows of the whole run, and how they stand in `layers`; of a long run in the layer `instead`.

    That one does not change with the choice: what was read once is not read again.
    """
    if len(layers) * len(all_events(reading.stamp, reading.run)) <= ROWS:
        return Counts(_counts(reading.stamp, reading.run, layers), None)
    return Counts(_counts(reading.stamp, reading.run, (instead,)), instead)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _counts(stamp: int, _run: Run, layers: tuple[str, ...]) -> WindowCounts:
    pieces = _run.pieces(COLUMNS, layers=layers, phases=PHASES) if layers else ()
    return window_counts(all_events(stamp, _run), pieces)
