"""Small multiples of the sawtooth: a panel a layer, all over the same micro-steps, each with an axis of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.place_marks import PlaceMark
from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.names import short_name
from gradviz.figures.palette import GRID
from gradviz.figures.sawtooth_findings import finding_marks
from gradviz.figures.sawtooth_marks import event_marks, gap_bands, stale_floor
from gradviz.figures.sawtooth_pen import Pen
from gradviz.figures.sawtooth_seams import seam_lines
from gradviz.figures.sawtooth_traces import consumed_marks, micro_bars, rise
from gradviz.figures.value_axis import ValueAxis, value_axis
from gradviz.schema import Phase

TALL, SMALL = 150, 112  # pixels of a panel
FEW = 4  # panels that may be tall
NAME = 22  # pixels of the line above a panel that names its layer
BELOW = 110  # pixels of the axis and the legend


def draw_panels(
    figure: go.Figure, shown: Sequence[Sawtooth], *, log: bool, language: str, marks: Sequence[PlaceMark]
) -> None:
    """Put all panels into `figure`, the first one on top; g_k as bars inside each panel."""
    one_panel = TALL if len(shown) <= FEW else SMALL
    inside = len(shown) * one_panel
    figure.update_layout(height=inside + BELOW)
    for place, one in enumerate(shown):
        top = 1 - (place * one_panel + NAME) / inside
        bottom = 1 - (place + 1) * one_panel / inside + 4 / inside
        panel, axis = _panel(one, log, language, marks if place == 0 else ())
        _move(figure, panel, _suffix(place))
        figure.update_layout({f"yaxis{_suffix(place)}": _axis(axis, bottom, top)})
        figure.add_annotation(
            text=f"<b>{short_name(one.layer, 60)}</b>",
            x=0,
            y=top,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=4 if place else 8,
            showarrow=False,
        )
    figure.update_xaxes(anchor=f"y{_suffix(len(shown) - 1)}")


def _panel(
    one: Sawtooth, log: bool, language: str, marks: Sequence[PlaceMark]
) -> tuple[go.Figure, ValueAxis]:
    """One layer on a sheet of its own; bars and line share an axis."""
    micro = (one.phase == Phase.MICRO_STEP) & (one.micro_nonfinite >= 0)
    axis = value_axis(
        np.concatenate([one.cleared_value, one.micro_value[micro]]),
        np.concatenate([one.cleared_nonfinite, one.micro_nonfinite[micro]]),
        log=log,
        language=language,
    )
    pen = Pen(go.Figure(), axis, language)
    gap_bands(pen, one)
    seam_lines(pen, one)
    stale_floor(pen, one)
    micro_bars(pen, one, axis, (0, 1))
    pen.figure.update_traces(opacity=0.45, selector={"yaxis": "y2"})
    rise(pen, one, 0)
    consumed_marks(pen, one)
    event_marks(pen, one)
    finding_marks(pen, one, marks)
    axis.draw_shelves(pen.figure)
    return pen.figure, axis


def _move(figure: go.Figure, panel: go.Figure, suffix: str) -> None:
    """Traces and lines of a panel go to its axis; a kind of mark has one entry in the legend."""
    named = {trace.name for trace in figure.data if trace.showlegend is not False}
    for trace in panel.data:
        layer = (trace.legendgroup or "").startswith("layer ")
        hidden = layer or trace.showlegend is False or trace.name in named
        trace.update(yaxis=f"y{suffix}", showlegend=not hidden, legendgroup=trace.name)
        named.add(trace.name)
        figure.add_trace(trace)
    for line in panel.layout.shapes:
        along = line.yref in (None, "y")
        figure.add_shape(line.update(yref=f"y{suffix}" if along else f"y{suffix} domain"))


def _axis(axis: ValueAxis, bottom: float, top: float) -> dict[str, Any]:
    look = {
        "domain": [max(bottom, 0.0), top],
        "gridcolor": GRID,
        "zeroline": False,
        "showline": False,
        "ticks": "",
    }
    layout = look | axis.layout
    if not axis.log:
        layout["nticks"] = 3
    if "tickvals" in layout:
        layout |= _few_ticks(layout, axis)
    return layout


def _few_ticks(layout: dict[str, Any], axis: ValueAxis) -> dict[str, Any]:
    """The ends of the numbers, and every shelf: a small panel has no room for more."""
    names = list(layout["ticktext"])
    numbers = [place for place, at in enumerate(layout["tickvals"]) if axis.low <= at <= axis.high]
    ends = {numbers[0], numbers[-1]} if numbers else set()
    kept = [place for place in range(len(names)) if place in ends or place not in numbers]
    return {"tickvals": np.array(layout["tickvals"])[kept], "ticktext": [names[place] for place in kept]}


def _suffix(place: int) -> str:
    return "" if place == 0 else str(place + 1)
