"""The axis of binary exponents, with shelves for what has no exponent of its own, and the limits of float16.

From left to right: exact zeros, numbers under the smallest normal one of bfloat16 and float32, those between
it and 2^-64 (where there are any), one column an exponent, and what lies above all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.distribution import FLOAT16_END, FLOAT16_NORMAL, FLOAT16_SMALLEST
from gradviz.figures.palette import NEUTRAL
from gradviz.schema import (
    FIRST_EXPONENT_BIN,
    HIGHEST_EXPONENT,
    HUGE_BIN,
    LOWEST_EXPONENT,
    SMALLEST_NORMAL,
    SUBNORMAL_BIN,
    TINY_BIN,
    ZEROS_BIN,
)
from gradviz.texts import text

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SHELF, GAP = 2.0, 1.0  # widths, in exponents
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: int) -> str:
    """2 to the power of `exponent`, as text."""
    return "2" + str(exponent).translate(_RAISED)


@dataclass(frozen=True)
class Column:
    """Where a bin stands: from `left` to `right`; `label` says which numbers it holds."""

    bin: int
    left: float
    right: float
    label: str

    @property
    def middle(self) -> float:
        """Its centre."""
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class ExponentAxis:
    """Exponents `low` to `high` (exclusive) in columns of their own; `shelves` beside them."""

    low: int
    high: int
    shelves: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """One for each exponent, ascending."""
        return tuple(
            Column(FIRST_EXPONENT_BIN + at - LOWEST_EXPONENT, at, at + 1, f"{power(at)} … {power(at + 1)}")
            for at in range(self.low, self.high)
        )

    @property
    def zeros(self) -> Column:
        """The shelf of exact zeros."""
        return self.shelves[0]

    def lay_out(self, figure: go.Figure, language: str) -> None:
        """Ticks at the powers of two and under the shelves; a dotted line at each limit."""
        ticks = [at for at in range(LOWEST_EXPONENT, HIGHEST_EXPONENT + 2, self._apart) if self._shows(at)]
        shelves = [shelf for shelf in self.shelves if shelf.bin != TINY_BIN]
        right = max([float(self.high), *(shelf.right for shelf in self.shelves)])
        figure.update_xaxes(
            title_text=text("figure.distribution.x", language),
            range=[self.zeros.left - GAP, right + GAP],
            tickmode="array",
            tickvals=np.array([*(shelf.middle for shelf in shelves), *ticks], dtype=np.float64),
            ticktext=[*(shelf.label for shelf in shelves), *map(power, ticks)],
            showgrid=False,
        )
        for place, name in self._limits():
            figure.add_vline(place, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, layer="below")
            figure.add_annotation(
                x=place, y=1, yref="paper", xanchor="left", yanchor="top", align="left", showarrow=False,
                font={"size": 11}, text=text(f"figure.distribution.limit_{name}", language),
            )  # fmt: skip

    @property
    def _apart(self) -> int:
        return 4 if self.high - self.low <= 48 else 8

    def _shows(self, exponent: int) -> bool:
        return self.low <= exponent <= self.high

    def _limits(self) -> list[tuple[float, str]]:
        limits = [(FLOAT16_SMALLEST, "smallest"), (FLOAT16_NORMAL, "normal"), (FLOAT16_END, "end")]
        within = [(float(at), name) for at, name in limits if self._shows(at)]
        return [(self.shelves[1].right, "bfloat16"), *within]


def exponent_axis(counts: Integers) -> ExponentAxis:
    """The axis that holds `counts` [BINS]; it always reaches from float16's smallest number to its normal ones."""
    used = np.flatnonzero(counts[FIRST_EXPONENT_BIN:HUGE_BIN]) + LOWEST_EXPONENT
    low = min([FLOAT16_SMALLEST - 2, *used.tolist()])
    high = max([FLOAT16_NORMAL + 6, *(used + 1).tolist()])
    left = [(TINY_BIN, f"&lt; {power(LOWEST_EXPONENT)}")] if counts[TINY_BIN] else []
    left += [(SUBNORMAL_BIN, f"&lt; {power(SMALLEST_NORMAL)}"), (ZEROS_BIN, "0")]
    shelves: list[Column] = []
    edge = float(low)
    for bin_, label in left:
        shelves.insert(0, Column(bin_, edge - GAP - SHELF, edge - GAP, label))
        edge -= GAP + SHELF
    if counts[HUGE_BIN]:
        shelves.append(Column(HUGE_BIN, high + GAP, high + GAP + SHELF, f"≥ {power(HIGHEST_EXPONENT + 1)}"))
    return ExponentAxis(low, high, tuple(shelves))
