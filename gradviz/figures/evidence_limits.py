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

ROOM = 0.8  # of a row: above the first bar, and below the last, where the name of a limit stands
CLEAR = {
    "size": 8,
    "opacity": 0,
}  # an unseen mark: the name keeps its distance from the line on which it stands
BANDS = frozenset({"update_ratio"})  # two limits with the healthy range between them


@dataclass(frozen=True)
class LimitLines:
    """Draws the limits of a series across the picture; `vertical` where values run along x."""

    figure: go.Figure
    series: EvidenceSeries
    language: str
    vertical: bool = False

    @property
    def limits(self) -> list[float]:
        """Those that the axis can show."""
        return [limit for limit in self.series.limits if limit > 0 or not self.series.log]

    @property
    def span(self) -> tuple[float, float]:
        """From where to where the lines go; rows leave room for the names, so that none lies on a bar."""
        first, last = float(self.series.x[0]) - 0.5, float(self.series.x[-1]) + 0.5
        above, below = (ROOM * (self.vertical and len(self.limits) > place) for place in range(2))
        return first - above, last + below

    def draw(self) -> None:
        """A dashed line for each limit, and a tint between two that make a band."""
        limits, (first, last) = self.limits, self.span
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
            self._name(place, limit)

    def _name(self, place: int, limit: float) -> None:
        first, last = self.span
        name = text(f"figure.evidence.limit.{self.series.quantity}_{place}", self.language)
        label = text("figure.evidence.limit_label", self.language, name=name, value=number(limit))
        if self.vertical:  # the second name stands at the other end, so that close ones do not touch
            end = first + ROOM / 2 if place == 1 else last - ROOM / 2
            side = "left" if self._is_far(limit) else "right"
            name = f"\u00a0{label}\u00a0"  # so that no letter touches the line
            self._add([end], [limit], mode="text", text=[name], textposition=f"middle {side}")
        else:
            self._add(
                [last], [limit], mode="markers+text", text=[label], textposition="top left", marker=CLEAR
            )

    def _is_far(self, limit: float) -> bool:
        """Whether a limit lies in the far half of the picture, where its name would leave it."""
        known = np.append(self.series.y[np.isfinite(self.series.y)], self.limits)
        if not self.series.log:
            return limit > float(known.max()) / 2
        known = known[known > 0]
        return limit > float(np.sqrt(known.min() * known.max()))

    def _add(self, along: list[float], across: list[float], **style: object) -> None:
        x, y = np.array(along), np.array(across)
        if self.vertical:
            x, y = y, x
        style = {"textfont": {"color": NEUTRAL, "size": 12}} | style
        self.figure.add_trace(go.Scatter(x=x, y=y, cliponaxis=False, **style, **no_hover()))
