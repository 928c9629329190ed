"""Evidence over layers: a bar each, in forward order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.figures.canvas import hover
from gradviz.figures.evidence_limits import LimitLines
from gradviz.figures.names import axis_name, escape_plotly
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import BLUE, RED
from gradviz.figures.value_axis import ValueAxis
from gradviz.texts import text

ROWS = 40  # layers that still fit as rows
LABELS = 16  # names that fit under a picture
ROW_HEIGHT = 22


@dataclass(frozen=True)
class LayerBars:
    """Draws a series over layers: rows with their names while they fit, else columns."""

    figure: go.Figure
    series: EvidenceSeries
    axis: ValueAxis
    language: str

    @property
    def horizontal(self) -> bool:
        """Whether each layer has a row of its own."""
        return len(self.series.y) <= ROWS

    def draw(self, words: str) -> None:
        """Bars, limits, a mark where a value is exactly zero, and the axes."""
        places = np.arange(len(self.series.y), dtype=np.float64)
        lines = LimitLines(
            self.figure, replace(self.series, x=places), self.language, vertical=self.horizontal
        )
        lines.draw()
        self._bars(words)
        self._zeros(words)
        self._lay_out(words, lines.span)
        self.axis.draw_shelves(self.figure, vertical=self.horizontal)

    def _bars(self, words: str) -> None:
        base = self.axis.bottom if self.axis.log else 0.0
        known = np.isfinite(self.series.y) & (self.series.y != 0)
        heights = np.where(known, self.series.y - base, np.nan)
        self._add(go.Bar, heights, words, base=base, marker={"color": self._colours(), "line": {"width": 0}})

    def _zeros(self, words: str) -> None:
        zero = self.series.y == 0
        if zero.any():
            places = np.where(zero, self.axis.zero if self.axis.log else 0.0, np.nan)
            marker = {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": self._colours()}}
            self._add(go.Scatter, places, words, mode="markers", marker=marker, cliponaxis=False)

    def _colours(self) -> object:
        """Red where marked, blue elsewhere; one colour where nothing tells layers apart."""
        marked = self.series.marked
        if not marked.any() or marked.all():
            return RED if marked.all() else BLUE
        return [RED if one else BLUE for one in marked]

    def _add(self, kind: type, heights: object, words: str, **style: object) -> None:
        places = np.arange(len(self.series.y))
        x, y = (heights, places) if self.horizontal else (places, heights)
        names = np.array([escape_plotly(name) for name in self.series.names], dtype=object)
        if kind is go.Bar:
            style |= {"orientation": "h" if self.horizontal else "v", "textposition": "none"}
        form = number_format(self.series.y)
        self.figure.add_trace(
            kind(
                x=x,
                y=y,
                text=names,
                customdata=self.series.y,
                hovertemplate=hover("%{text}", [(words, f"%{{customdata:{form}}}")]),
                **style,
            )
        )

    def _lay_out(self, words: str, span: tuple[float, float]) -> None:
        count = len(self.series.y)
        every = 1 if self.horizontal else max(1, -(-count // LABELS))
        places = np.arange(0, count, every)
        layers = {
            "tickmode": "array",
            "tickvals": places,
            "ticktext": [axis_name(self.series.names[place], 28) for place in places],
            "tickfont": {"size": 11},
            "range": [span[1] + 0.1, span[0] - 0.1] if self.horizontal else [span[0] - 0.1, span[1] + 0.1],
            "showgrid": False,
            "automargin": True,
        }
        values = {"title": {"text": words}} | self.axis.layout
        if self.horizontal:
            height = max(int(self.figure.layout.height), 150 + ROW_HEIGHT * count)
            self.figure.update_layout(xaxis=values, yaxis=layers, height=height)
        else:
            over = {"title": {"text": text("figure.evidence.x_layer", self.language)}}
            self.figure.update_layout(xaxis=layers | over, yaxis=values)
        self.figure.update_layout(showlegend=False, bargap=0.35)
