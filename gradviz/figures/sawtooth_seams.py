"""Where a run was resumed: a dotted line through the sawtooth, with its name."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.palette import NEUTRAL
from gradviz.figures.sawtooth_pen import Pen

_NAMED = 6  # seams that have room for a name


def seam_lines(pen: Pen, one: Sawtooth) -> None:
    """A line where the first window of a segment begins, if it is among the windows drawn."""
    shown = np.unique(one.window)
    updates = one.window_update[shown]
    inside = one.seam_update[(one.seam_update > updates[0]) & (one.seam_update <= updates[-1])]
    for seam in inside:
        window = shown[np.searchsorted(updates, seam)]
        name = pen.word("resumed") if len(inside) <= _NAMED else None
        pen.figure.add_vline(
            x=float(one.window_start[window]),
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            annotation={"text": name, "yanchor": "bottom", "font": {"color": NEUTRAL}} if name else None,
            annotation_position="top",
        )
