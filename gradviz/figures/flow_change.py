"""Flow change: which layers' gradients grew from one moment to another, which shrank, and by how much."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.flow_change import FlowChange
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.layer_flow import axis_of, fits_rows, moment_of
from gradviz.figures.layer_flow_pen import LayerPen
from gradviz.figures.names import hovered_name
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, NEUTRAL, YELLOW
from gradviz.texts import joined, text

Floats = NDArray[np.float64]
_LEAST = 2.0  # the axis reaches at least from a half to the double
_ROOM = 1.15


def plot_flow_change(
    change: FlowChange, *, horizontal: bool | None = None, language: str = "en"
) -> go.Figure:
    """The ratio of each layer's gradient at the second moment to that at the first, on a log axis around 1.

    *How to read it*: bars to the right (or up) grew, bars to the left (or down) shrank; equally long bars are equal
    factors. Layers that all moved alike changed with the loss or the window; one that moved against its neighbours
    changed by itself. A triangle at the edge is a gradient that came from, or went to, exactly zero; a ring is one
    that cannot be compared.

    *Requires*: two moments of one run.
    """
    title = text(
        "figure.flow_change.title",
        language,
        before=moment_of(change.before, language) if change.before.phase else "–",
        after=moment_of(change.after, language) if change.after.phase else "–",
    )
    comparable = change.comparable
    if not comparable.any():
        return blank(title, "figure.flow_change.empty", language)
    layers = change.before.layers
    along_rows = fits_rows(layers) if horizontal is None else horizontal
    pen = LayerPen(axis_of([change.before], True, language), layers, along_rows, language)
    figure = sheet(title, _sentence(change, language), height=max(260, pen.height - 60))
    ends = _ends(change.ratio[comparable])
    for name, rows, colour in (
        ("grew", comparable & (change.ratio >= 1), BLUE),
        ("shrank", comparable & (change.ratio < 1), YELLOW),
    ):
        _bars(figure, change, pen, rows, text(f"figure.flow_change.{name}", language), colour)
    pointing = ("triangle-right", "triangle-left") if along_rows else ("triangle-up", "triangle-down")
    for name, rows, at, symbol in (
        ("from_zero", np.isinf(change.ratio), ends[1], pointing[0]),
        ("to_zero", change.ratio == 0, ends[0], pointing[1]),
        ("unknown", np.isnan(change.ratio), 1.0, "circle-open"),
    ):
        _marks(figure, change, pen, rows, at, symbol, text(f"figure.flow_change.{name}", language))
    _lay_out(figure, pen, ends, text("figure.flow_change.ratio", language))
    return figure


def _sentence(change: FlowChange, language: str) -> str:
    ratio = change.ratio[change.comparable]
    apart = len(change.ratio) - len(ratio)
    sentence = text(
        "figure.flow_change.sentence",
        language,
        median=number(float(np.median(ratio))),
        least=number(float(ratio.min())),
        most=number(float(ratio.max())),
        count=len(ratio),
    )
    left_out = [text("figure.flow_change.apart", language, count=apart)] if apart else []
    return joined([sentence, *left_out], language)


def _hover(change: FlowChange, rows: NDArray[np.bool_], pen: LayerPen) -> dict[str, object]:
    fields = [
        [number(float(change.before.accumulated[place])), number(float(change.after.accumulated[place])),
         number(float(change.ratio[place]))]
        for place in np.flatnonzero(rows)
    ]  # fmt: skip
    labels = ("before", "after", "ratio")
    return {
        "text": [hovered_name(change.before.layers[place]) for place in np.flatnonzero(rows)],
        "customdata": np.array(fields, dtype=object),
        "hovertemplate": hover(
            "%{text}",
            [
                (text(f"figure.flow_change.{label}", pen.language), f"%{{customdata[{place}]}}")
                for place, label in enumerate(labels)
            ],
        ),
    }


def _bars(
    figure: go.Figure, change: FlowChange, pen: LayerPen, rows: NDArray[np.bool_], name: str, colour: str
) -> None:
    """From 1 to the ratio."""
    if not rows.any():
        return
    places, reach = np.flatnonzero(rows), change.ratio[rows] - 1
    ends = {"x": reach, "y": places, "orientation": "h"} if pen.horizontal else {"x": places, "y": reach}
    figure.add_trace(
        go.Bar(
            **ends,
            base=np.ones(len(places)),
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            textposition="none",
            **_hover(change, rows, pen),
        )
    )


def _marks(
    figure: go.Figure, change: FlowChange, pen: LayerPen, rows: NDArray[np.bool_], at: float, symbol: str, name: str
) -> None:  # fmt: skip
    if not rows.any():
        return
    places, heights = np.flatnonzero(rows), np.full(int(rows.sum()), at)
    ends = {"x": heights, "y": places} if pen.horizontal else {"x": places, "y": heights}
    marker = {"symbol": symbol, "size": 9, "color": NEUTRAL}
    figure.add_trace(
        go.Scatter(**ends, mode="markers", name=name, marker=marker, **_hover(change, rows, pen))
    )


def _ends(ratio: Floats) -> tuple[float, float]:
    """Between which factors the axis runs."""
    return min(float(ratio.min()), 1 / _LEAST) / _ROOM, max(float(ratio.max()), _LEAST) * _ROOM


def _lay_out(figure: go.Figure, pen: LayerPen, ends: tuple[float, float], title: str) -> None:
    low, high = ends[0] / _ROOM, ends[1] * _ROOM
    ticks = [tick for tick in _ticks(max(high, 1 / low)) if low <= tick <= high]
    axis = {
        "title": {"text": title},
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickmode": "array",
        "tickvals": np.array(ticks),
        "ticktext": [f"×{tick:g}" for tick in ticks],
        "minor": {"showgrid": False},
    }
    pen.lay_out(figure, title)
    figure.layout.shapes = ()  # the shelves of the values: a ratio has none
    figure.update_layout(hovermode="closest", hoverdistance=20, bargap=0.35)
    figure.update_layout(xaxis=axis) if pen.horizontal else figure.update_layout(yaxis=axis)
    line = figure.add_vline if pen.horizontal else figure.add_hline
    line(1, line={"color": NEUTRAL, "width": 1}, layer="below")


def _ticks(edge: float) -> list[float]:
    """Powers of 2 in a narrow range, of 10 in a wide one; 1 is always among them."""
    factor = 2.0 if edge <= 40 else 10.0
    count = int(math.log(edge) / math.log(factor))
    every = max(1, -(-count // 4))
    steps = range(0, count + 1, every)
    return sorted({factor**sign for step in steps for sign in (step, -step)})
