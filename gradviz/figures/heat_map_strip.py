"""A mark for each row of a heat map, to stand beside it and be clicked: a click on a cell tells a page nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.heat_map import HeatMap
from gradviz.analysis.heat_map_rows import swing
from gradviz.figures.canvas import hover, sheet
from gradviz.figures.heat_map import height_of
from gradviz.figures.names import hovered_name
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, NEUTRAL, PURPLE, RED, YELLOW
from gradviz.schema import Level
from gradviz.texts import text

FARTHEST = 3.0  # decades; what goes farther stands here
BROKEN = 3.6  # where what is not finite stands
COLOURS = {Level.INFO: BLUE, Level.WARNING: YELLOW, Level.ERROR: RED}
SYMBOLS = {Level.INFO: "circle", Level.WARNING: "diamond", Level.ERROR: "x"}
SMALL, LARGE = 4, 11  # pixels


def plot_row_strip(
    heat_map: HeatMap, *, levels: Mapping[str, Level] | None = None, language: str = "en"
) -> go.Figure:
    """A mark for each row of a heat map, as high as it is there: how far the row goes from its own median.

    *How to read it*: farther right, more change; purple at the right end holds NaN or Inf. Rows with a finding have
    the colour and the shape of its level.

    *Requires*: the heat map that it stands beside.
    """
    figure = sheet(text("figure.row_strip.title", language), height=height_of(heat_map))
    rows = len(heat_map.layers)
    found = [(levels or {}).get(name) for name in heat_map.layers]
    broken = np.asarray(heat_map.broken.any(axis=1))
    decades = np.where(broken, BROKEN, np.minimum(swing(heat_map) / np.log(10), FARTHEST))
    plain = np.where(broken, PURPLE, NEUTRAL)
    figure.add_trace(
        go.Scatter(
            x=decades,
            y=np.arange(rows),
            mode="markers",
            marker={
                "color": [own if level is None else COLOURS[level] for level, own in zip(found, plain, strict=True)],
                "symbol": ["square" if level is None else SYMBOLS[level] for level in found],
                "size": int(np.clip(height_of(heat_map) * 0.6 / max(rows, 1), SMALL, LARGE)),
            },
            unselected={"marker": {"opacity": 0.3}},
            customdata=_said(heat_map, broken, language),
            hovertemplate=hover("%{customdata[0]}", [(text("figure.heat_map.median", language), "%{customdata[1]}"),
                                                     (text("figure.row_strip.x", language), "%{customdata[2]}")]),
            showlegend=False,
        )
    )  # fmt: skip
    figure.update_layout(margin={"l": 8, "r": 8})
    figure.update_yaxes(range=[rows - 0.5, -0.5], showticklabels=False, showgrid=False, fixedrange=True)
    figure.update_xaxes(
        title_text=text("figure.row_strip.x", language),
        range=[-0.25, BROKEN + 0.3],
        tickvals=[0, 1, 2, FARTHEST],
        ticktext=["×1", "×10", "×100", "≥"],
        fixedrange=True,
        automargin=False,
    )
    return figure


def with_outline(
    figure: go.Figure, heat_map: HeatMap, layers: Sequence[str], updates: tuple[int, int]
) -> go.Figure:
    """The figure of `heat_map` with a frame around the rows of `layers`, from the first to the last, at `updates`."""
    chosen = set(layers)
    rows = [row for row, name in enumerate(heat_map.layers) if name in chosen]
    if not rows:
        return figure
    return go.Figure(figure).add_shape(
        type="rect",
        x0=updates[0] - 0.5,
        x1=updates[1] + 0.5,
        y0=rows[0] - 0.5,
        y1=rows[-1] + 0.5,
        line={"color": NEUTRAL, "width": 2, "dash": "dot"},
    )


def _said(heat_map: HeatMap, broken: NDArray[np.bool_], language: str) -> list[list[str]]:
    """Name, median and largest change of each row."""
    changes = np.exp(np.where(broken, 0.0, np.minimum(swing(heat_map), np.log(1e9))))
    said = []
    for row, name in enumerate(heat_map.layers):
        label = hovered_name(name)
        if heat_map.sizes is not None:
            label += f" ({text('figure.row_strip.layers', language, count=int(heat_map.sizes[row]))})"
        change = (
            text("figure.heat_map.broken", language) if broken[row] else f"×{number(float(changes[row]))}"
        )
        said.append([label, number(float(heat_map.median[row])), change])
    return said
