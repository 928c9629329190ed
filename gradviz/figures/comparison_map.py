"""The map of differences: layers by updates; where did the second run consume more, and where less?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.comparison_map import DifferenceMap
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.names import axis_name, escape_plotly, short_name
from gradviz.figures.palette import BLUE, NEUTRAL, PURPLE, RED, YELLOW, faded
from gradviz.texts import joined, text

ROWS = 40  # layers that may each have their name
ROW_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT = 18, 320, 760
LEAST_REACH, MOST_REACH = 0.1, 6.0  # doublings from equal: beyond the most the colour stays what it is
MILLI = 1000  # a cell is sent as a whole number of thousandths of a doubling
HOVERED = 20_000  # cells that may carry their values for the hover; more of them cost too many bytes
SHELF = 0.16  # of the colour bar


def plot_difference_map(difference: DifferenceMap, *, language: str = "en") -> go.Figure:
    """The second run over the first, layer by layer: log2 of the ratio of what their updates consumed.

    *How to read it*: layers in forward order from the top. Red: the second run consumed more than the first, blue:
    less, pale: as much. A map that is pale on the left and coloured on the right shows when two runs part; a coloured
    row is a layer that one of them trains differently. Yellow: one of the two is exactly zero; purple: NaN or Inf in
    either; grey: no update of one of them.

    *Requires*: layers of the same name in both, and updates (or samples) that both have.
    """
    title = text("figure.difference_map.title", language, a=_name(difference, 0), b=_name(difference, 1))
    if not difference.layers:
        return blank(title, "comparison.no_layers", language)
    if (
        not difference.first.size
        or not (np.isfinite(difference.first) & np.isfinite(difference.second)).any()
    ):
        return blank(title, "figure.difference_map.empty", language)
    count = len(difference.layers)
    height = min(MOST_HEIGHT, max(LEAST_HEIGHT, 150 + ROW_HEIGHT * count))
    figure = sheet(title, _sentence(difference, language), height=height)
    figure.add_trace(_Cells(difference, language).trace())
    shown = np.arange(0, count, max(1, -(-count // ROWS)))
    figure.update_yaxes(
        tickmode="array",
        tickvals=shown,
        ticktext=[axis_name(difference.layers[place], 28) for place in shown],
        tickfont={"size": 11},
        range=[count - 0.5, -0.5],
        showgrid=False,
        automargin=True,
    )
    figure.update_xaxes(title_text=text(f"comparison.axis.{difference.axis}", language), showgrid=False)
    return figure


def _name(difference: DifferenceMap, place: int) -> str:
    return short_name(difference.runs[place], 40)


def _sentence(difference: DifferenceMap, language: str) -> str:
    names = {"a": _name(difference, 0), "b": _name(difference, 1)}
    finite = difference.log_ratio[np.isfinite(difference.log_ratio)]
    equal = len(finite) == difference.first.size and not finite.any()
    sentences = [text(f"figure.difference_map.{'equal' if equal else 'read'}", language, **names)]
    if difference.each > 1:
        sentences.append(text("figure.difference_map.merged", language, each=difference.each))
    if len(difference.layers) < difference.layers_total:
        counts = {"shown": len(difference.layers), "total": difference.layers_total}
        sentences.append(text("figure.difference_map.thinned", language, **counts))
    if difference.broken.any():
        sentences.append(text("figure.difference_map.broken", language, count=int(difference.broken.sum())))
    return joined(sentences, language)


class _Cells:
    """One trace: doublings in the middle of the colour scale, and a shelf below for each thing that has no number."""

    def __init__(self, difference: DifferenceMap, language: str) -> None:
        self.difference, self.language = difference, language
        ratio = difference.log_ratio
        finite = np.abs(ratio[np.isfinite(ratio)])
        self.reach = float(np.clip(np.quantile(finite, 0.995) if len(finite) else 0, LEAST_REACH, MOST_REACH))
        self.shelf = SHELF * 2 * self.reach
        shelves = [
            ("zero", YELLOW, np.isinf(ratio)),
            ("missing", faded(NEUTRAL, 0.45), np.isnan(ratio) & ~difference.broken),
            ("broken", PURPLE, difference.broken),
        ]
        self.shelves = [shelf for shelf in shelves if shelf[2].any()]

    def trace(self) -> go.Heatmap:
        """All cells."""
        difference = self.difference
        by_update = difference.axis == "update"
        edges = np.append(difference.start, difference.end[-1] + by_update)
        return go.Heatmap(
            x=edges - 0.5 if by_update else edges,
            y=np.arange(len(difference.layers)),
            z=self._levels(),
            zmin=MILLI * (-self.reach - len(self.shelves) * self.shelf),
            zmax=MILLI * self.reach,
            colorscale=self._colours(),
            colorbar=self._bar(),
            ygap=1 if len(difference.layers) <= ROWS else 0,
            **self._told(),
        )

    def _levels(self) -> NDArray[np.int16]:
        levels = np.clip(np.nan_to_num(self.difference.log_ratio), -self.reach, self.reach)
        for place, (_, _, cells) in enumerate(self.shelves):
            levels = np.where(cells, self._height(place), levels)
        return np.asarray(np.rint(levels * MILLI), dtype=np.int16)

    def _height(self, place: int) -> float:
        """The middle of a shelf."""
        return -self.reach - (place + 0.5) * self.shelf

    def _colours(self) -> list[list[float | str]]:
        """Shelves as flat bands from the bottom, then blue, pale, red."""
        edges = -self.reach + np.arange(-len(self.shelves), 1) * self.shelf
        flat = [colour for _, colour, _ in reversed(self.shelves) for _ in range(2)]
        steps = np.concatenate([np.repeat(edges, 2)[1:-1], [-self.reach, 0.0, self.reach]])
        places = np.round((steps - steps[0]) / (steps[-1] - steps[0]), 6)  # plotly wants 0, ascending, 1
        colours = [*flat, BLUE, faded(NEUTRAL, 0.06), RED]
        return [[float(place), colour] for place, colour in zip(places, colours, strict=True)]

    def _bar(self) -> dict[str, Any]:
        ticks = [
            *((self._height(place), text(f"figure.difference_map.shelf_{name}", self.language))
              for place, (name, _, _) in enumerate(self.shelves)),
            *((float(np.log2(factor)), label) for factor, label in _factors(self.reach)),
        ]  # fmt: skip
        return {
            "title": {"text": text("figure.difference_map.bar", self.language)},
            "tickmode": "array",
            "tickvals": [MILLI * height for height, _ in ticks],
            "ticktext": [label for _, label in ticks],
            "thickness": 14,
            "outlinewidth": 0,
        }

    def _told(self) -> dict[str, Any]:
        """What the hover says of each cell."""
        difference = self.difference
        names = [escape_plotly(name) for name in difference.layers]
        where = (text(f"comparison.axis.{difference.axis}", self.language), "%{x:.0f}")
        if difference.first.size > HOVERED:
            return {"hovertemplate": hover("%{y}", [where])}
        values = np.stack([difference.first, difference.second, 2.0**difference.log_ratio], axis=-1)
        fields = [
            where,
            (_name(difference, 0), "%{customdata[0]:.3~g}"),
            (_name(difference, 1), "%{customdata[1]:.3~g}"),
            (text("figure.difference_map.ratio", self.language), "×%{customdata[2]:.4~g}"),
        ]
        return {
            "text": np.repeat(np.array(names, dtype=object)[:, None], difference.first.shape[1], axis=1),
            "customdata": values.astype(np.float32),
            "hovertemplate": hover("%{text}", fields),
        }


def _factors(reach: float) -> list[tuple[float, str]]:
    """Ticks of the bar: powers of two, or smaller steps where all is close to equal."""
    if reach < 1:
        steps = next(step for step in (0.5, 0.25, 0.1, 0.05, 0.02) if np.log2(1 + step) <= reach)
        return [(1 / (1 + steps), f"÷{1 + steps:g}"), (1.0, "×1"), (1 + steps, f"×{1 + steps:g}")]
    most = max(1, int(0.85 * reach))  # no tick at the end, beside a shelf's name
    step = -(-most // 2)  # at most five ticks, evenly apart
    powers = range(step, most + 1, step)
    above = [(2.0**power, f"×{2**power}") for power in powers]
    below = [(2.0**-power, f"÷{2**power}") for power in powers]
    return [*reversed(below), (1.0, "×1"), *above]
