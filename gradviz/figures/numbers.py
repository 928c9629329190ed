"""Numbers as people read them: `.2~e` beyond 1e4 and below 1e-3, plain between."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALL, LARGE = 1e-3, 1e4


def number(value: float) -> str:
    """One number for a text: 0.0123, 1.23e-5, 0, NaN."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    if value == 0 or SMALL <= abs(value) < LARGE:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def number_format(values: NDArray[np.float64]) -> str:
    """The d3 format for an axis or hover that shows `values`: by the size of the largest."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if len(finite) else 1.0
    return ".3~g" if largest == 0 or SMALL <= largest < LARGE else ".2~e"


def table_format(values: ArrayLike) -> str:
    """The printf format of a column of a table: with exponents where plain digits would be very many."""
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    wide = len(sizes) and (sizes.max() >= LARGE or np.median(sizes) < SMALL)
    return "%.2e" if wide else "%.3g"


def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * share:.0f} %"
