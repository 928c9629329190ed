"""The lines that evidence is held against, each with its name and number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.figures.canvas import no_hover
from gradviz.figures.numbers import number
from gradviz.figures.palette import GREEN, NEUTRAL, faded
from gradviz.texts import text

BANDS = frozenset({"update_ratio"})  # two limits with the healthy range between them


@dataclass(frozen=True)
class LimitLines:
    """Draws the limits of a series across the picture; `vertical` where values run along x."""

    figure: go.Figure
    series: EvidenceSeries
    language: str
    vertical: bool = False

    def draw(self) -> None:
        """A dashed line for each limit, and a tint between two that make a band."""
        limits = [limit for limit in self.series.limits if limit > 0 or not self.series.log]
        first, last = float(self.series.x[0]) - 0.5, float(self.series.x[-1]) + 0.5
        if self.series.quantity in BANDS and len(limits) == 2:
            low, high = limits
            self._add([first, last, last, first], [low, low, high, high], fill="toself", mode="none",
                      fillcolor=faded(GREEN, 0.14))  # fmt: skip
        for place, limit in enumerate(limits, start=1):
            self._add(
                [first, last],
                [limit, limit],
                mode="lines",
                line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
            )
            self._name(place, limit, last)

    def _name(self, place: int, limit: float, last: float) -> None:
        name = text(f"figure.evidence.limit.{self.series.quantity}_{place}", self.language)
        label = text("figure.evidence.limit_label", self.language, name=name, value=number(limit))
        if self.vertical:  # the second name stands at the other end, so that close ones do not touch
            ends = [float(self.series.x[0]) - 0.4, last]
            self._add(
                [ends[(place + 1) % 2]], [limit], mode="text", text=[label], textposition="middle right"
            )
        else:
            self._add([last], [limit], mode="text", text=[label], textposition="top left")

    def _add(self, along: list[float], across: list[float], **style: object) -> None:
        x, y = np.array(along), np.array(across)
        if self.vertical:
            x, y = y, x
        style = {"textfont": {"color": NEUTRAL, "size": 12}} | style
        self.figure.add_trace(go.Scatter(x=x, y=y, cliponaxis=False, **style, **no_hover()))
