"""The colours of a heat map: numbers on a scale, and three shelves under it for what is no number."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.heat_map import HeatMap
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, NEUTRAL, PURPLE, RED, YELLOW, faded
from gradviz.texts import text

DECADES = 2.0  # away from the median: beyond it the colour stays what it is
MILLI = 1000  # a cell is sent as a whole number of thousandths of a decade: a fifth of the bytes of a list
BYTE = np.iinfo(np.uint8).max  # or, of a large map, as one of 255 steps
FARTHEST = 30.0  # decades from 1 that thousandths in 16 bits can tell
TICKS = 8
SHELF = 0.1  # of the colour bar
VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")


class Colours:
    """Decades -> whole numbers for a trace, and the scale that colours them; `fine`: two bytes a cell, not one."""

    def __init__(self, heat_map: HeatMap, relative: bool, language: str, *, fine: bool) -> None:
        self.map, self.relative, self.language, self.fine = heat_map, relative, language, fine
        with np.errstate(divide="ignore", invalid="ignore"):
            self.decades = np.log10(heat_map.ratio if relative else heat_map.value)
        finite = self.decades[np.isfinite(self.decades)]
        if relative:
            reach = float(np.clip(np.quantile(np.abs(finite), 0.995) if len(finite) else 0, 0.3, DECADES))
            self.low, self.high = -reach, reach
        else:
            finite = np.clip(finite, -FARTHEST, FARTHEST)
            self.low, self.high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 0.0)
            self.high = max(self.high, self.low + 0.1)
        self.shelf = SHELF * (self.high - self.low)
        self.bottom = self.low - len(self.shelves) * self.shelf

    def levels(self) -> NDArray[Any]:
        """A whole number for each cell; zero, NaN and nothing stand on shelves below all numbers."""
        levels = np.rint(self._number(np.clip(np.nan_to_num(self.decades), self.low, self.high)))
        if self.shelves:  # the lowest number would stand on their edge, and have their colour
            levels = np.maximum(levels, np.floor(self._number(self.low)) + 1)
        for place, (_, _, cells) in enumerate(self.shelves):
            levels = np.where(cells, np.rint(self._number(self._height(place))), levels)
        return np.asarray(levels, dtype=np.int16 if self.fine else np.uint8)

    @property
    def least(self) -> float:
        """The number at the foot of the scale."""
        return float(self._number(self.bottom))

    @property
    def most(self) -> float:
        """The number at its top."""
        return float(self._number(self.high))

    @cached_property
    def shelves(self) -> list[tuple[str, str, NDArray[np.bool_]]]:
        """Of the shelves in use, from the top: name, colour and cells; the last to claim a cell has it."""
        shelves = [
            ("zero", YELLOW, self.map.value == 0),
            ("broken", PURPLE, self.map.broken),
            ("missing", faded(NEUTRAL, 0.45), np.isnan(self.map.value) & ~self.map.broken),
        ]
        return [shelf for shelf in shelves if shelf[2].any()]

    def scale(self) -> list[list[float | str]]:
        """Shelves as flat bands from the bottom, then the scale of the numbers."""
        count = len(self.shelves)
        edges = self.low + np.arange(-count, 1) * self.shelf
        flat = [colour for _, colour, _ in reversed(self.shelves) for _ in range(2)]
        ramp = (BLUE, faded(NEUTRAL, 0.06), RED) if self.relative else VIRIDIS
        steps = np.concatenate([np.repeat(edges, 2)[1:-1], np.linspace(self.low, self.high, len(ramp))])
        places = np.round((steps - steps[0]) / (steps[-1] - steps[0]), 6)  # plotly wants 0, ascending, 1
        return [[float(place), colour] for place, colour in zip(places, [*flat, *ramp], strict=True)]

    def bar(self) -> dict[str, Any]:
        """The colour bar: numbers as people say them, and the names of the shelves."""
        shelves = [
            (self._height(place), text(f"figure.heat_map.{name}", self.language))
            for place, (name, _, _) in enumerate(self.shelves)
        ]
        ticks = [*shelves, *((decade, self._label(decade)) for decade in self._decades())]
        title = text(f"figure.heat_map.bar_{'relative' if self.relative else 'absolute'}", self.language)
        return {
            "title": {"text": title},
            "tickmode": "array",
            "tickvals": [float(self._number(decade)) for decade, _ in ticks],
            "ticktext": [label for _, label in ticks],
            "thickness": 14,
            "x": 1,
            "xpad": 10,
            "len": 0.94,  # the buttons stand above it
            "y": 0,
            "yanchor": "bottom",
            "outlinewidth": 0,
        }

    def _number(self, decade: Any) -> Any:
        if self.fine:
            return decade * MILLI
        return (decade - self.bottom) / (self.high - self.bottom) * BYTE

    def _height(self, place: int) -> float:
        """The middle of a shelf."""
        return self.low - (place + 0.5) * self.shelf

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
