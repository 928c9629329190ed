"""The sawtooth itself: the line of G_k, the bars of g_k, and what the optimizer consumed."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import no_hover
from gradviz.figures.names import short_name
from gradviz.figures.palette import NEUTRAL, RED, line_colour
from gradviz.figures.sawtooth_pen import Pen, crowded, known, legend_once, template, told
from gradviz.figures.value_axis import Flags, ValueAxis
from gradviz.schema import Phase

_MARKERS = 800  # points up to which each one gets a dot


def rise(pen: Pen, one: Sawtooth, place: int) -> None:
    """The line through G_0, G_1 .. G_n, broken where an event is missing, with a dot at every micro-step.

    Where clipping made the consumed value another one, the fall to the reset begins there.
    """
    line = np.flatnonzero((one.phase != Phase.UPDATE) | one.rescaled)
    heights = np.where(one.cleared_nonfinite == 0, pen.heights(one), np.nan)
    joined = one.joined[line] & (one.phase[line] != Phase.UPDATE)
    breaks = np.flatnonzero(~joined)[1:]
    micro = np.flatnonzero((one.phase == Phase.MICRO_STEP) & (one.cleared_nonfinite == 0))
    few = len(line) <= _MARKERS
    shared = {"name": short_name(one.layer), "legendgroup": f"layer {place}", "legendrank": place}
    pen.figure.add_trace(
        go.Scatter(
            x=np.insert(one.x[line], breaks, np.nan),
            y=np.insert(heights[line], breaks, np.nan),
            mode="lines",
            line={"color": line_colour(place), "width": 2 if few else 1.2},
            hoverinfo="skip",
            cliponaxis=False,
            **shared,
        )
    )
    pen.figure.add_trace(
        go.Scatter(
            x=one.x[micro],
            y=heights[micro],
            mode="markers",
            marker={"color": line_colour(place), "size": 5 if few else 2, "line": {"width": 0}},
            showlegend=False,
            **told(one, micro, pen.language),
            hovertemplate=template(one, pen.word("accumulated"), pen.language),
            **shared,
        )
    )


def micro_bars(pen: Pen, one: Sawtooth, axis: ValueAxis, place: tuple[int, int]) -> None:
    """g_k of every micro-step, under the tooth it built; `place` of how many layers, side by side."""
    rows = (one.phase == Phase.MICRO_STEP) & (one.micro_nonfinite >= 0)
    wrong = rows & (one.micro_nonfinite > 0)
    heights = axis.place(one.micro_value, one.micro_nonfinite)
    base = axis.bottom if axis.log else 0.0
    width = 0.8 / place[1]
    for shown, colour in ((rows & ~wrong, line_colour(place[0])), (wrong, RED)):
        if not shown.any():
            continue
        pen.figure.add_trace(
            go.Bar(
                x=one.x[shown],
                y=heights[shown] - base,
                base=base,
                width=width,
                offset=-0.9 + width * place[0],
                marker={"color": colour, "opacity": 0.75, "line": {"width": 0}},
                **_bar_hover(pen, one, shown),
                yaxis="y2",
                name=short_name(one.layer),
                legendgroup=f"layer {place[0]}",
                showlegend=False,
            )
        )


def _bar_hover(pen: Pen, one: Sawtooth, rows: Flags) -> dict[str, object]:
    """Bars of a pixel tell nothing: the dot above each of them does, and the page stays small."""
    if rows.sum() > _MARKERS:
        return {"hoverinfo": "skip"}
    words = template(one, pen.word("micro"), pen.language)
    return told(one, rows, pen.language) | {"textposition": "none", "hovertemplate": words}


def consumed_marks(pen: Pen, one: Sawtooth) -> None:
    """A diamond at the value that the optimizer consumed, tied to G_n where the two differ."""
    rows = (one.phase == Phase.UPDATE) & (one.nonfinite == 0) & ~one.skipped
    if not rows.any():
        return
    _clip_ties(pen, one)
    arrived = one.arrived[rows]
    extra = [("G<sub>n</sub>", known(arrived, np.isnan(arrived)))]
    count = int(rows.sum())
    rim = {"width": 1 if count <= 40 else 0, "color": "white"}
    marker = {"symbol": "diamond", "size": crowded(9, count), "color": NEUTRAL, "line": rim}
    pen.figure.add_trace(
        go.Scatter(
            x=one.x[rows],
            y=pen.heights(one)[rows],
            mode="markers",
            marker=marker,
            **told(one, rows, pen.language, extra),
            hovertemplate=template(one, pen.word("consumed"), pen.language),
            cliponaxis=False,
            **legend_once(pen, "consumed", pen.word("consumed")),
        )
    )


def _clip_ties(pen: Pen, one: Sawtooth) -> None:
    rows = one.rescaled & np.isfinite(one.arrived)
    if not rows.any():
        return
    tops = pen.axis.place(one.arrived[rows], np.zeros(int(rows.sum()), dtype=np.int64))
    ends = pen.heights(one)[rows]
    pen.figure.add_trace(
        go.Scatter(
            x=np.repeat(one.x[rows], 3),
            y=np.column_stack([tops, ends, np.full(len(tops), np.nan)]).ravel(),
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            **no_hover(),
        )
    )
