"""The lines of a gradient flow, and the axis along which the layers run: of one moment, or of each of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.layer_flow import LayerFlow
from gradviz.figures.canvas import USUAL_BELOW, USUAL_LEFT
from gradviz.figures.layer_card import Card
from gradviz.figures.names import axis_name
from gradviz.figures.palette import BLUE, CYAN, NEUTRAL, RED, YELLOW
from gradviz.figures.value_axis import Flags, Floats, Integers, ValueAxis
from gradviz.texts import text

MANY = 100  # layers; more and each gets a dot in place of a mark
_LABELS = 20  # names that fit under a picture
_UPRIGHT = 12  # of them that fit without a slant
_ROW, _SHORTEST, _TALLEST = 22, 320, 460  # pixels
_LETTER, _SLANTED = (
    6.0,
    3.8,
)  # pixels that a letter of a name takes of the margin: beside a row, slanted under a column


@dataclass(frozen=True)
class LayerPen:
    """Draws moments of the same layers on the same axis, with their layers as rows or as columns."""

    axis: ValueAxis
    layers: tuple[str, ...]
    horizontal: bool
    language: str

    @property
    def height(self) -> int:
        """Of the picture, in pixels."""
        return max(_SHORTEST, 150 + _ROW * len(self.layers)) if self.horizontal else _TALLEST

    def traces(self, flow: LayerFlow, card: Card) -> list[go.Scatter]:
        """Always the same five series and the hover, each over all layers and NaN where it has nothing."""
        gone, none = flow.nonfinite > 0, flow.recorded & (flow.nonfinite < 0)
        return [
            self._maximum(flow),
            self._micro(flow),
            self._accumulated(flow),
            self._marks("nonfinite", flow, gone, {"symbol": "x-thin", "size": 9, "line": {"width": 2.5, "color": RED}}),
            self._marks("none", flow, none, {"symbol": "circle-open", "size": 8, "color": NEUTRAL}),
            self._hover(flow, card),
        ]  # fmt: skip

    def lay_out(self, figure: go.Figure, values_title: str) -> None:
        """Both axes, and the shelves of what is no number."""
        count = len(self.layers)
        every = 1 if self.horizontal else max(1, -(-count // _LABELS))
        names: dict[str, Any] = {
            "tickmode": "array",
            "tickvals": np.arange(count)[::every],
            "ticktext": [axis_name(name, 28 if self.horizontal else 24) for name in self.layers[::every]],
            "tickfont": {"size": 12 if self.horizontal else 10},
            "range": [count - 0.4, -0.6] if self.horizontal else [-0.6, count - 0.4],
            "showgrid": count <= MANY,
            "automargin": True,
        }
        values = {"title": {"text": values_title}} | self.axis.layout
        if self.horizontal:
            figure.update_layout(xaxis=values, yaxis=names, hovermode="y")
        else:
            names["tickangle"] = -45 if count > _UPRIGHT else None
            figure.update_layout(xaxis=names, yaxis=values, hovermode="x")
        figure.update_layout(margin=self._room(names["ticktext"]))
        figure.update_layout(hoverdistance=-1, hoverlabel={"align": "left"})
        self.axis.draw_shelves(figure, vertical=self.horizontal)

    def _room(self, names: list[str]) -> dict[str, float]:
        """For the names; where it is too little it grows, and all is drawn once more."""
        longest = max(map(len, names))
        if self.horizontal:
            return {"l": max(USUAL_LEFT, 14 + _LETTER * longest)}
        return {"b": USUAL_BELOW if len(self.layers) <= _UPRIGHT else 46 + _SLANTED * longest}

    def _accumulated(self, flow: LayerFlow) -> go.Scatter:
        rows = flow.recorded & (flow.nonfinite == 0)
        marker = {"size": self._size(8), "color": BLUE}
        line = {"color": BLUE, "width": 1.2 if self._many else 2}
        return self._series(
            "accumulated", flow.accumulated, flow.nonfinite, rows, 0, line=line, marker=marker
        )

    def _micro(self, flow: LayerFlow) -> go.Scatter:
        rows = np.isfinite(flow.micro) & (flow.micro_nonfinite == 0)
        marker = {"size": self._size(8), "color": YELLOW, "symbol": "diamond"}
        line = {"color": YELLOW, "width": 1 if self._many else 1.5, "dash": "dot"}
        return self._series("micro", flow.micro, flow.micro_nonfinite, rows, 1, line=line, marker=marker)

    def _maximum(self, flow: LayerFlow) -> go.Scatter:
        rows = np.isfinite(flow.maximum) & (flow.nonfinite == 0) & (flow.statistic != "max_abs")
        marker = {
            "size": self._size(7),
            "color": CYAN,
            "opacity": 0.7,
            "symbol": "line-ns-open" if self.horizontal else "line-ew-open",
            "line": {"width": 2},
        }
        return self._series("maximum", flow.maximum, flow.nonfinite, rows, 2, mode="markers", marker=marker)

    def _marks(self, key: str, flow: LayerFlow, rows: Flags, marker: dict[str, Any]) -> go.Scatter:
        heights = np.where(rows, self.axis.place(flow.accumulated, flow.nonfinite), np.nan)
        name = text(f"figure.mark.{key}", self.language)
        return self._trace(heights, mode="markers", marker=marker, name=name, hoverinfo="skip")

    def _hover(self, flow: LayerFlow, card: Card) -> go.Scatter:
        """Unseen points that carry the hover of their layer, wherever on its row or column the mouse is."""
        heights = np.where(np.isfinite(flow.accumulated), flow.accumulated, flow.micro)
        heights = self.axis.place(heights, flow.nonfinite)
        heights = np.where(np.isfinite(heights), heights, self.axis.bottom)
        return self._trace(
            heights,
            mode="markers",
            marker={"opacity": 0, "color": BLUE, "size": 4},
            showlegend=False,
            hoverinfo="text",  # else the place on the axis stands beside it
            text=card.names,
            customdata=card.fields,
            hovertemplate=card.template,
        )

    def _series(
        self, key: str, values: Floats, nonfinite: Integers, rows: Flags, rank: int, **style: object
    ) -> go.Scatter:
        heights = np.where(rows, self.axis.place(values, np.maximum(nonfinite, 0)), np.nan)
        style = {"mode": "lines+markers"} | style
        name = text(f"figure.layer_flow.{key}", self.language)
        return self._trace(heights, name=name, legendrank=rank, hoverinfo="skip", **style)

    def _trace(self, heights: Floats, **style: object) -> go.Scatter:
        places = np.arange(len(heights))
        return (
            go.Scatter(x=heights, y=places, **style)
            if self.horizontal
            else go.Scatter(x=places, y=heights, **style)
        )

    @property
    def _many(self) -> bool:
        return len(self.layers) > MANY

    def _size(self, usual: int) -> int:
        return 3 if self._many else usual


def heights_of(trace: go.Scatter, *, horizontal: bool) -> Floats:
    """The values of a trace, along whichever axis they run."""
    heights: Floats = trace.x if horizontal else trace.y
    return heights
