"""The heat map: layers by updates; where and when does the gradient change?"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.heat_map import HeatMap
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.numbers import number, number_format
from gradviz.figures.palette import BLUE, NEUTRAL, PURPLE, RED, YELLOW, faded
from gradviz.texts import text

ROWS = 40  # layers that may each have their name
ROW_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT = 18, 300, 760
DECADES = 2.0  # away from the median: beyond it the colour stays what it is
MILLI = 1000  # a cell is sent as a whole number of thousandths of a decade: a fifth of the bytes of a list
FARTHEST = 30.0  # decades from 1 that thousandths in 16 bits can tell
HOVERED = 20_000  # cells that may carry their value for the hover; more of them cost too many bytes
TICKS = 8
SHELF = 0.1  # of the colour bar
VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")


def plot_heat_map(heat_map: HeatMap, *, relative: bool = True, language: str = "en") -> go.Figure:
    """Every layer over all updates. `relative`: against the layer's own median, else the size itself.

    *How to read it*: layers in forward order from the top, updates from the left. Red cells are larger than the
    layer usually is, blue ones smaller; a red column is an update at which everything grew, a blue row end is a
    layer that starves. Yellow cells are exactly zero, purple ones hold NaN or Inf, grey ones have no gradient.

    *Requires*: updates that were recorded. Absolute norms show little but which layers are large.
    """
    title = text(
        "figure.heat_map.title", language, statistic=text(f"figure.statistic.{heat_map.statistic}", language)
    )
    if not (heat_map.count + heat_map.nonfinite).any():
        return blank(title, "figure.heat_map.empty", language)
    height = min(MOST_HEIGHT, max(LEAST_HEIGHT, 150 + ROW_HEIGHT * len(heat_map.layers)))
    figure = sheet(title, _sentence(heat_map, relative, language), height=height)
    _Cells(heat_map, relative, language).draw(figure)
    figure.update_layout(yaxis=_layer_axis(heat_map), hovermode="closest")
    figure.update_xaxes(title_text=text("figure.heat_map.x", language), showgrid=False)
    return figure


def _sentence(heat_map: HeatMap, relative: bool, language: str) -> str:
    sentences = [text(f"figure.heat_map.{'relative' if relative else 'absolute'}", language)]
    if heat_map.updates_a_column > 1:
        sentences.append(text("figure.heat_map.merged", language, each=heat_map.updates_a_column))
    if len(heat_map.layers) < heat_map.layers_total:
        sentences.append(
            text(
                "figure.heat_map.thinned",
                language,
                shown=len(heat_map.layers),
                total=heat_map.layers_total,
            )
        )
    if heat_map.broken.any():
        sentences.append(text("figure.heat_map.nonfinite", language, count=int(heat_map.broken.sum())))
    return " ".join(sentences)


def _layer_axis(heat_map: HeatMap) -> dict[str, object]:
    count = len(heat_map.layers)
    places = np.arange(0, count, max(1, -(-count // ROWS)))
    return {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [short_name(heat_map.layers[place], 28) for place in places],
        "tickfont": {"size": 11},
        "range": [count - 0.5, -0.5],
        "showgrid": False,
        "automargin": True,
    }


class _Cells:
    """One trace for all cells: numbers in the middle of the colour scale, and three shelves under them."""

    def __init__(self, heat_map: HeatMap, relative: bool, language: str) -> None:
        self.map, self.relative, self.language = heat_map, relative, language
        shown = heat_map.ratio if relative else heat_map.value
        with np.errstate(divide="ignore", invalid="ignore"):
            self.decades = np.log10(shown)
        finite = self.decades[np.isfinite(self.decades)]
        if relative:
            reach = float(np.clip(np.quantile(np.abs(finite), 0.995) if len(finite) else 0, 0.3, DECADES))
            self.low, self.high = -reach, reach
        else:
            finite = np.clip(finite, -FARTHEST, FARTHEST)
            self.low, self.high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 0.0)
            self.high = max(self.high, self.low + 0.1)
        self.shelf = SHELF * (self.high - self.low)

    def draw(self, figure: go.Figure) -> None:
        """The trace with its colour bar."""
        hovered = self.decades.size <= HOVERED
        figure.add_trace(
            go.Heatmap(
                x=np.append(self.map.first_update, self.map.last_update[-1] + 1) - 0.5,
                y=np.arange(len(self.map.layers)),
                z=self._levels(),
                zmin=self._milli(self.low - len(self.shelves) * self.shelf),
                zmax=self._milli(self.high),
                colorscale=self._colours(),
                colorbar=self._bar(),
                ygap=1 if len(self.map.layers) <= ROWS else 0,
                **(self._told() if hovered else {"hovertemplate": hover("%{y}", [self._update("%{x:.0f}")])}),
            )
        )

    def _told(self) -> dict[str, object]:
        """What the hover says of each cell."""
        names = np.array([escape_plotly(name) for name in self.map.layers], dtype=object)
        update = np.broadcast_to(self.map.first_update, self.decades.shape)
        return {
            "text": np.repeat(names[:, None], self.decades.shape[1], axis=1),
            "customdata": np.stack([self.map.value, self.map.ratio, update], axis=-1).astype(np.float32),
            "hovertemplate": self._template(),
        }

    def _levels(self) -> NDArray[np.int16]:
        """Thousandths of a decade; zero, NaN and nothing stand on shelves below all numbers."""
        levels = np.clip(np.nan_to_num(self.decades), self.low, self.high)
        for place, (_, _, cells) in enumerate(self.shelves):
            levels = np.where(cells, self._height(place), levels)
        return np.asarray(np.rint(levels * MILLI), dtype=np.int16)

    @cached_property
    def shelves(self) -> list[tuple[str, str, NDArray[np.bool_]]]:
        """Of the shelves in use, from the top: name, colour and cells; the last to claim a cell has it."""
        nothing = (self.map.count == 0) & ~self.map.broken
        shelves = [
            ("zero", YELLOW, self.map.value == 0),
            ("broken", PURPLE, self.map.broken),
            ("missing", faded(NEUTRAL, 0.45), nothing),
        ]
        return [shelf for shelf in shelves if shelf[2].any()]

    def _height(self, place: int) -> float:
        """The middle of a shelf."""
        return self.low - (place + 0.5) * self.shelf

    def _milli(self, decade: float) -> float:
        return decade * MILLI

    def _colours(self) -> list[list[float | str]]:
        """Shelves as flat bands from the bottom, then the scale of the numbers."""
        count = len(self.shelves)
        edges = self.low + np.arange(-count, 1) * self.shelf
        flat = [colour for _, colour, _ in reversed(self.shelves) for _ in range(2)]
        ramp = (BLUE, faded(NEUTRAL, 0.06), RED) if self.relative else VIRIDIS
        steps = np.concatenate([np.repeat(edges, 2)[1:-1], np.linspace(self.low, self.high, len(ramp))])
        places = np.round((steps - steps[0]) / (steps[-1] - steps[0]), 6)  # plotly wants 0, ascending, 1
        return [[float(place), colour] for place, colour in zip(places, [*flat, *ramp], strict=True)]

    def _bar(self) -> dict[str, object]:
        shelves = [
            (self._height(place), text(f"figure.heat_map.{name}", self.language))
            for place, (name, _, _) in enumerate(self.shelves)
        ]
        ticks = [*shelves, *((decade, self._label(decade)) for decade in self._decades())]
        title = text(f"figure.heat_map.bar_{'relative' if self.relative else 'absolute'}", self.language)
        return {
            "title": {"text": title},
            "tickmode": "array",
            "tickvals": [self._milli(decade) for decade, _ in ticks],
            "ticktext": [label for _, label in ticks],
            "thickness": 14,
            "outlinewidth": 0,
        }

    def _decades(self) -> list[float]:
        """Where the bar has ticks: whole decades or parts of them, none where it would touch a shelf's name."""
        span = self.high - self.low
        factors = (1.0,) if span > 3 else (1.0, 3.0) if span > 1 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
        exponents = range(math.floor(self.low), math.ceil(self.high) + 1)
        ticks = [exponent + math.log10(factor) for exponent in exponents for factor in factors]
        least = self.low + (0.5 * self.shelf if self.shelves else 0.0)
        inside = [tick for tick in ticks if least <= tick <= self.high]
        return inside[:: max(1, -(-len(inside) // TICKS))]

    def _label(self, decade: float) -> str:
        return f"×{10**decade:.3g}" if self.relative else number(float(10**decade))

    def _update(self, number_of: str) -> tuple[str, str]:
        span = self.map.updates_a_column
        return text("figure.word.update", self.language), number_of + (f" … +{span - 1}" if span > 1 else "")

    def _template(self) -> str:
        form = number_format(self.map.value)
        fields = [
            self._update("%{customdata[2]:d}"),
            (text("figure.heat_map.value", self.language), f"%{{customdata[0]:{form}}}"),
            (text("figure.heat_map.ratio", self.language), "×%{customdata[1]:.3~g}"),
        ]
        return hover("%{text}", fields)
