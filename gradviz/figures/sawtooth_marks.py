"""What happened along a sawtooth: resets that were seen or missing, edits, gaps, values off the axis."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.palette import NEUTRAL, RED, faded
from gradviz.figures.sawtooth_pen import Pen, crowded, legend_once, template, told
from gradviz.figures.value_axis import Flags
from gradviz.schema import Phase

_MARKS: dict[str, dict[str, object]] = {
    "clean": {"symbol": "circle-open", "color": NEUTRAL, "line": {"width": 1.5}},
    "not_reset": {"symbol": "x", "color": RED},
    "left": {"symbol": "circle", "color": NEUTRAL},
    "edit": {"symbol": "triangle-down", "color": RED},
    "skipped": {"symbol": "diamond-x-open", "color": RED, "line": {"width": 1.5}},
    "nonfinite": {"symbol": "x-thin", "color": RED, "line": {"width": 2, "color": RED}},
    "none": {"symbol": "circle-open-dot", "color": NEUTRAL},
}
_SIZES = {"clean": 7, "not_reset": 10, "left": 6, "edit": 9, "skipped": 10, "nonfinite": 8, "none": 7}


def event_marks(pen: Pen, one: Sawtooth) -> None:
    """Resets (hollow circle), missing resets (red cross), edits (triangle), skipped updates, NaN and None."""
    kinds = {
        "clean": one.clean,
        "not_reset": one.not_reset,
        "left": one.left,
        "edit": one.phase == Phase.EDIT,
        "nonfinite": (one.cleared_nonfinite > 0) & ~one.skipped,
        "skipped": one.skipped,
        "none": one.cleared_nonfinite < 0,
    }
    for kind, rows in kinds.items():
        _marks(pen, one, kind, rows)


def _marks(pen: Pen, one: Sawtooth, kind: str, rows: Flags) -> None:
    if not rows.any():
        return
    name = pen.word(f"{kind}_mark")
    pen.figure.add_trace(
        go.Scatter(
            x=one.x[rows],
            y=pen.heights(one)[rows],
            mode="markers",
            marker=_MARKS[kind] | {"size": crowded(_SIZES[kind], int(rows.sum()))},
            **told(one, rows, pen.language),
            hovertemplate=template(one, name, pen.language),
            cliponaxis=False,
            **legend_once(pen, kind, name),
        )
    )


def stale_floor(pen: Pen, one: Sawtooth) -> None:
    """The part of a tooth that is older than its window, as a red floor."""
    rows = np.flatnonzero(one.not_reset & (one.nonfinite == 0))
    if not len(rows):
        return
    length = one.window_length[one.window[rows]]
    base = pen.axis.bottom if pen.axis.log else 0.0
    pen.figure.add_trace(
        go.Bar(
            x=one.x[rows] + length / 2,
            y=one.value[rows] - base,
            base=base,
            width=length,
            marker={"color": faded(RED, 0.28), "line": {"width": 0}},
            **told(one, rows, pen.language),
            textposition="none",
            hovertemplate=template(one, pen.word("stale_floor"), pen.language),
            name=pen.word("stale_floor"),
            legendrank=2000,
        )
    )


def gap_bands(pen: Pen, one: Sawtooth) -> None:
    """A grey band where windows were not recorded, with their number in the hover."""
    gaps = np.flatnonzero(one.window_missed > 0)
    if not len(gaps):
        return
    ends = one.window_start[gaps - 1] + one.window_length[gaps - 1]
    width = one.window_start[gaps] - ends
    pen.figure.add_trace(
        go.Bar(
            x=ends + width / 2,
            y=np.full(len(gaps), pen.axis.top - pen.axis.bottom),
            base=pen.axis.bottom,
            width=width,
            marker={"color": faded(NEUTRAL, 0.25), "line": {"width": 0}},
            customdata=one.window_missed[gaps],
            hovertemplate=pen.word("gap") + "<extra></extra>",
            name=pen.word("gap_mark"),
            legendrank=2001,
        )
    )
