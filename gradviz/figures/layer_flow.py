"""Gradient flow: all layers in forward order at one moment; which starve, which explode?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.layer_flow import LayerFlow
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import BLUE, CYAN, NEUTRAL, RED, YELLOW
from gradviz.figures.value_axis import Flags, Floats, Integers, ValueAxis, value_axis
from gradviz.texts import text

Orientation = Literal["auto", "vertical", "horizontal"]
_ROWS = 60  # layers that still fit as rows
_LABELS = 20  # names that fit under a picture


def plot_layer_flow(
    flow: LayerFlow, *, log: bool = True, orientation: Orientation = "auto", language: str = "en"
) -> go.Figure:
    """Every layer at one event: the accumulated gradient (line), this micro-batch's own, and the maximum.

    *How to read it*: input side left (or top), output side right (or bottom). A line that dives over decades
    towards the input vanishes; one that climbs explodes; a layer far under its neighbours starves. `0`,
    `None` and `NaN·Inf` have lines of their own and cannot be mistaken for small numbers.

    *Requires*: the rows of one event. Micro-gradients exist at micro-steps only.
    """
    title = _title(flow, language)
    if not flow.recorded.any():
        return blank(title, "figure.layer_flow.empty", language)
    horizontal = _horizontal(flow) if orientation == "auto" else orientation == "horizontal"
    axis = _axis(flow, log)
    height = 150 + 22 * len(flow.layers) if horizontal else 460
    figure = sheet(title, _sentence(flow, language), height=max(320, height))
    drawing = _Drawing(figure, flow, axis, horizontal, language)
    drawing.maximum()
    drawing.micro()
    drawing.accumulated()
    drawing.void()
    drawing.lay_out()
    return figure


def _horizontal(flow: LayerFlow) -> bool:
    """Rows read better than slanted names, as long as they fit."""
    return len(flow.layers) <= _ROWS and max(len(name) for name in flow.layers) > 12


def _axis(flow: LayerFlow, log: bool) -> ValueAxis:
    values = np.concatenate([flow.accumulated, flow.micro, flow.maximum])
    micro = np.where(np.isnan(flow.micro) & (flow.micro_nonfinite < 0), 0, flow.micro_nonfinite)
    nonfinite = np.where(flow.recorded, flow.nonfinite, 0)
    return value_axis(values, np.concatenate([nonfinite, micro, np.zeros_like(nonfinite)]), log=log)


def _title(flow: LayerFlow, language: str) -> str:
    statistic = text(f"figure.statistic.{flow.statistic}", language)
    if not flow.phase:
        return text("figure.layer_flow.title_now", language, statistic=statistic)
    return text(
        "figure.layer_flow.title",
        language,
        statistic=statistic,
        moment=text(f"figure.moment.{flow.phase}", language, update=flow.update, micro_step=flow.micro_step),
    )


def _sentence(flow: LayerFlow, language: str) -> str:
    present = flow.recorded & (flow.nonfinite == 0)
    counts = {
        "nonfinite": int((flow.nonfinite > 0).sum()),
        "none": int((flow.recorded & (flow.nonfinite < 0)).sum()),
        "zero": int((present & (flow.accumulated == 0)).sum()),
        "absent": int((~flow.recorded).sum()),
    }
    parts = [text("figure.layer_flow.layers", language, count=len(flow.layers))]
    parts += [
        text(f"figure.layer_flow.{key}", language, count=count) for key, count in counts.items() if count
    ]
    positive = flow.accumulated[present & (flow.accumulated > 0)]
    if len(positive) > 1 and positive.max() > 3 * positive.min():
        decades = f"{np.log10(positive.max() / positive.min()):.1f}"
        parts.append(text("figure.layer_flow.decades", language, decades=decades))
    return text("figure.word.comma", language).join(parts) + text("figure.word.stop", language)


class _Drawing:
    """One picture in the making; knows along which axis the layers run."""

    def __init__(
        self, figure: go.Figure, flow: LayerFlow, axis: ValueAxis, horizontal: bool, language: str
    ) -> None:
        self.figure, self.flow, self.axis = figure, flow, axis
        self.horizontal, self.language = horizontal, language
        self.many = len(flow.layers) > 100
        self.places = np.arange(len(flow.layers))
        self.names = np.array([escape_plotly(name) for name in flow.layers], dtype=object)

    def accumulated(self) -> None:
        style = {
            "line": {"color": BLUE, "width": 2},
            "marker": {"size": 3 if self.many else 8, "color": BLUE},
        }
        flow = self.flow
        present = flow.recorded & (flow.nonfinite == 0)
        self._series("accumulated", flow.accumulated, flow.nonfinite, present, style)

    def micro(self) -> None:
        flow = self.flow
        style = {
            "line": {"color": YELLOW, "width": 1.5, "dash": "dot"},
            "marker": {"size": 3 if self.many else 8, "color": YELLOW, "symbol": "diamond"},
        }
        present = np.isfinite(flow.micro) & (flow.micro_nonfinite == 0)
        self._series("micro", flow.micro, flow.micro_nonfinite, present, style)

    def maximum(self) -> None:
        flow = self.flow
        if flow.statistic == "max_abs":
            return
        style: dict[str, Any] = {
            "mode": "markers",
            "marker": {
                "size": 3 if self.many else 7,
                "color": CYAN,
                "opacity": 0.7,
                "symbol": "line-ew-open",
                "line": {"width": 2},
            },
        }
        if self.horizontal:
            style["marker"]["symbol"] = "line-ns-open"
        present = np.isfinite(flow.maximum) & (flow.nonfinite == 0)
        self._series("maximum", flow.maximum, flow.nonfinite, present, style)

    def void(self) -> None:
        flow = self.flow
        cross = {"symbol": "x-thin", "size": 9, "line": {"width": 2.5, "color": RED}}
        ring = {"symbol": "circle-open", "size": 8, "color": NEUTRAL}
        for key, rows, marker in (
            ("nonfinite", flow.nonfinite > 0, cross),
            ("none", flow.recorded & (flow.nonfinite < 0), ring),
        ):
            heights = self.axis.place(flow.accumulated, flow.nonfinite)
            template = hover("%{text}", [(text(f"figure.mark.{key}", self.language), "%{customdata}")])
            self._add(
                rows,
                heights,
                mode="markers",
                marker=marker,
                name=text(f"figure.mark.{key}", self.language),
                text=self.names[rows],
                customdata=np.maximum(flow.nonfinite[rows], 0),
                hovertemplate=template,
            )

    def lay_out(self) -> None:
        every = 1 if self.horizontal else max(1, -(-len(self.places) // _LABELS))
        letters = 40 if self.horizontal else 24
        layers = {
            "tickmode": "array",
            "tickvals": self.places[::every],
            "ticktext": [short_name(name, letters) for name in self.flow.layers[::every]],
            "tickfont": {"size": 12 if self.horizontal else 10},
            "range": [-0.6, len(self.places) - 0.4],
            "showgrid": not self.many,
            "automargin": True,
        }
        values = {"title": {"text": text(f"figure.statistic.{self.flow.statistic}", self.language)}}
        values |= self.axis.layout
        if self.horizontal:
            layers["range"] = [len(self.places) - 0.4, -0.6]
            self.figure.update_layout(xaxis=values, yaxis=layers)
        else:
            self.figure.update_layout(
                xaxis=layers | {"tickangle": -45 if len(self.places) > 12 else None}, yaxis=values
            )
        self.axis.draw_shelves(self.figure, vertical=self.horizontal)

    def _series(
        self, key: str, values: Floats, nonfinite: Integers, rows: Flags, style: dict[str, object]
    ) -> None:
        name = text(f"figure.layer_flow.{key}", self.language)
        heights = np.where(rows, self.axis.place(values, np.maximum(nonfinite, 0)), np.nan)
        template = hover("%{text}", [(name, f"%{{customdata:{number_format(values)}}}")])
        everywhere = np.full(len(rows), bool(rows.any()))
        style = {"mode": "lines+markers"} | style
        self._add(
            everywhere,
            heights,
            name=name,
            legendrank=("accumulated", "micro", "maximum").index(key),
            text=self.names,
            customdata=values,
            hovertemplate=template,
            **style,
        )

    def _add(self, rows: Flags, heights: Floats, **style: object) -> None:
        if rows.any():
            x, y = self.places[rows], heights[rows]
            self.figure.add_trace(
                go.Scatter(x=y, y=x, **style) if self.horizontal else go.Scatter(x=x, y=y, **style)
            )
