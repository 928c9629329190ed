"""A mark for each layer at the left of a heat map, to be clicked: a click on a cell tells a page nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.heat_map import HeatMap
from gradviz.figures.names import short_name
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, NEUTRAL, RED, YELLOW
from gradviz.schema import Level
from gradviz.texts import text

WIDTH = 0.022  # of the picture
LETTERS = 60  # of a name in the hover
COLOURS = {Level.INFO: BLUE, Level.WARNING: YELLOW, Level.ERROR: RED}
SYMBOLS = {Level.INFO: "circle", Level.WARNING: "diamond", Level.ERROR: "x"}
SMALL, LARGE = 4, 11  # pixels


def add_strip(figure: go.Figure, heat_map: HeatMap, levels: Mapping[str, Level], language: str) -> None:
    """Marks on an x axis of their own, on the layers' y axis."""
    found = [levels.get(name) for name in heat_map.layers]
    rows = len(heat_map.layers)
    figure.add_trace(
        go.Scatter(
            x=np.zeros(rows),
            y=np.arange(rows),
            xaxis="x2",
            mode="markers",
            marker={
                "color": [NEUTRAL if level is None else COLOURS[level] for level in found],
                "symbol": ["square" if level is None else SYMBOLS[level] for level in found],
                "size": int(np.clip(figure.layout.height * 0.6 / rows, SMALL, LARGE)),
            },
            unselected={"marker": {"opacity": 0.35}},
            customdata=_said(heat_map, language),
            hovertemplate="<b>%{customdata[0]}</b>%{customdata[1]}<extra></extra>",
            showlegend=False,
        )
    )
    bare = {"visible": False, "fixedrange": True, "range": [-1, 1], "domain": [0, WIDTH]}
    figure.update_layout(
        xaxis={"domain": [WIDTH, 1]},
        xaxis2={**bare, "anchor": "y"},
        yaxis={"anchor": "x2"},
        dragmode="select",
        modebar={"remove": [one for one in figure.layout.modebar.remove if one != "select2d"]},
    )


def _said(heat_map: HeatMap, language: str) -> list[list[str]]:
    """Name and a line of each layer: how many layers it stands for, and its median."""
    lines = [
        f"<br>{text('figure.heat_map.median', language)}: {number(float(middle))}"
        for middle in heat_map.median
    ]
    if heat_map.sizes is not None:
        layers = text("figure.heat_map.layers", language)
        lines = [f"<br>{layers}: {size}{line}" for size, line in zip(heat_map.sizes, lines, strict=True)]
    return [[short_name(name, LETTERS), line] for name, line in zip(heat_map.layers, lines, strict=True)]


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
