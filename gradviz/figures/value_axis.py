"""The axis of a gradient's size: linear or log, with shelves for what has no place on it.

On a log axis an exact zero has a line of its own under all numbers; a missing gradient (None) has one under
that, and NaN and Inf have one above all numbers. So zero, missing and not-finite never look alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.figures.numbers import number
from gradviz.figures.palette import NEUTRAL
from gradviz.texts import text

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ValueAxis:
    """Where things stand: `low`..`high` is the range of the numbers, the shelves lie outside it."""

    log: bool
    low: float
    high: float
    zero: float
    none: float
    nonfinite: float
    has_zero: bool
    has_none: bool
    has_nonfinite: bool
    none_name: str

    def place(self, values: Floats, nonfinite: Integers) -> Floats:
        """The height of each value: on a shelf where it is zero, missing (-1) or not finite (> 0)."""
        heights = np.where(values == 0, self.zero, values) if self.log else values
        heights = np.where(nonfinite > 0, self.nonfinite, heights)
        return np.where(nonfinite < 0, self.none, heights)

    @property
    def bottom(self) -> float:
        """The lowest height in use."""
        if self.has_none:
            return self._beyond(self.none, -0.5)
        return self._beyond(self.zero, -0.5) if self.has_zero and self.log else self.low

    @property
    def top(self) -> float:
        """The highest height in use."""
        return self._beyond(self.nonfinite, 0.5) if self.has_nonfinite else self._beyond(self.high, 0.5)

    def _beyond(self, height: float, rows: float) -> float:
        """`height` moved by a part of the distance between shelves."""
        if self.log:
            return float(height * (self.nonfinite / self.high) ** rows)
        return height + (self.nonfinite - self.high) * rows

    @property
    def layout(self) -> dict[str, Any]:
        """Keywords for `update_yaxes` (or x)."""
        ends = (self.bottom, self.top)
        if not self.log:
            axis: dict[str, Any] = {"type": "linear", "range": list(ends), "exponentformat": "e"}
            ticks = _linear_ticks(self.high) if self.has_none or self.has_nonfinite else None
        else:
            axis = {"type": "log", "range": [math.log10(end) for end in ends], "minor": {"showgrid": False}}
            ticks = _log_ticks(self.low, self.high)
        if ticks is None:
            return axis
        shelves = [
            (self.none, self.none_name, self.has_none),
            (self.zero, "0", self.has_zero and self.log),
            (self.nonfinite, "NaN·Inf", self.has_nonfinite),
        ]
        pairs = [(tick, number(tick)) for tick in ticks] + [(at, name) for at, name, used in shelves if used]
        return axis | {
            "tickmode": "array",
            "tickvals": np.array([at for at, _ in pairs]),
            "ticktext": [name for _, name in pairs],
        }

    def draw_shelves(self, figure: go.Figure, *, vertical: bool = False) -> None:
        """A dotted line for each shelf in use; `vertical` when values run along x."""
        shelves = [
            (self.none, self.has_none),
            (self.zero, self.has_zero),
            (self.nonfinite, self.has_nonfinite),
        ]
        line = {"color": NEUTRAL, "width": 1, "dash": "dot"}
        for at, used in shelves:
            if used:
                add = figure.add_vline if vertical else figure.add_hline
                add(at, line=line, layer="below")


def value_axis(values: Floats, nonfinite: Integers, *, log: bool, language: str = "en") -> ValueAxis:
    """The axis that holds `values`; `nonfinite` as in the records (-1: no gradient)."""
    real = values[np.isfinite(values) & (nonfinite == 0)]
    positive = real[real > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    if log:
        room = max(1.25, (high / low) ** 0.04)
        low, high = low / room, high * room
        apart = max(1.5, (high / low) ** 0.09)
        zero, none, top = low / apart, low / apart**2, high * apart
        if not (real == 0).any():
            none = zero
    else:
        low, zero, none, top = 0.0, 0.0, -0.1 * high, 1.12 * high
    return ValueAxis(
        log=log,
        low=low,
        high=high,
        zero=zero,
        none=none,
        nonfinite=top,
        has_zero=bool((real == 0).any()),
        has_none=bool((nonfinite < 0).any()),
        has_nonfinite=bool((nonfinite > 0).any()),
        none_name=text("figure.mark.none_on_axis", language),
    )


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = max(1, math.ceil((last - first) / 7))
    factors = (1.0,) if last - first > 3 else (1.0, 3.0) if last - first > 2 else (1.0, 2.0, 5.0)
    ticks = [10.0**exponent * factor for exponent in range(first, last + 1, apart) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def _linear_ticks(high: float) -> list[float]:
    rough = high / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    apart = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [apart * place for place in range(int(high / apart) + 1)]
