"""The build-up: does accumulating add signal? ||G_k|| / rms ||g|| over k, between k and the root of k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers, rows_of_layer
from gradviz.analysis.tables import framed, table_of
from gradviz.analysis.totals import Totals, totals
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

LOW, HIGH = 0.1, 0.9
FEWEST = 3  # windows
CONFLICTING_BELOW = 0.7  # P/Q; the healthy minimum is 0.94
NOISY_BELOW = 1.5  # P/Q; pure noise gives 1
ALIGNED_ABOVE = 0.75  # alignment (P/Q - 1) / (n - 1); all aligned gives 1


@dataclass(frozen=True)
class BuildUp:
    """Of each k = 1..K: quantiles over windows of ||G_k|| / sqrt(mean_j ||g_j||^2).

    `windows[k-1]` windows reach micro-step k; `used` of `total` windows count, the others started from a
    stale gradient (`not_reset`), were changed inside (`edited`), were not finite, or lack micro-steps.
    `layer` None is the whole model, norms combined.
    """

    layer: str | None
    k: Integers
    median: Floats
    low: Floats
    high: Floats
    windows: Integers
    used: int
    total: int
    not_reset: int = 0
    edited: int = 0
    nonfinite: int = 0
    incomplete: int = 0

    @property
    def region(self) -> str:
        """`aligned`, `healthy`, `noisy` or `conflicting`, from the median at the last k.

        Empty where fewer than three windows count: too few for a verdict.
        """
        if len(self.k) < 2 or self.used < FEWEST:
            return ""
        n = int(self.k[-1])
        gain = float(self.median[-1]) ** 2 / n  # P/Q
        if gain < CONFLICTING_BELOW:
            return "conflicting"
        if (gain - 1) / (n - 1) >= ALIGNED_ABOVE:
            return "aligned"
        return "noisy" if gain < NOISY_BELOW else "healthy"


@table_of.register(BuildUp)
def _(record: BuildUp) -> pd.DataFrame:
    """One row a k."""
    columns = {name: getattr(record, name) for name in ("k", "median", "low", "high", "windows")}
    return framed({"layer": record.layer} | columns)


def build_up(gradients: pd.DataFrame, *, layer: str | None = None) -> BuildUp:
    """The build-up of `layer`, or of all layers of the frame together."""
    total = totals(gradients if layer is None else rows_of_layer(gradients, layer))
    axis = total.axis
    micro = axis.phase == Phase.MICRO_STEP
    present = np.unique(axis.window[micro])
    faults = _faults(total, len(axis.update))
    good = ~np.logical_or.reduce(list(faults.values()))
    counted = {name: int(flags[present].sum()) for name, flags in faults.items()}
    k, ratio = _ratios(total, micro & good[axis.window])
    numbers = np.arange(1, int(k.max()) + 1) if len(k) else np.array([], dtype=np.int64)
    of_k = [ratio[k == number] for number in numbers]
    return BuildUp(
        layer=layer,
        k=numbers,
        median=np.array([np.median(ratios) for ratios in of_k]),
        low=np.array([np.quantile(ratios, LOW) for ratios in of_k]),
        high=np.array([np.quantile(ratios, HIGH) for ratios in of_k]),
        windows=np.array([len(ratios) for ratios in of_k], dtype=np.int64),
        used=int(good[present].sum()),
        total=len(present),
        **counted,
    )


def _ratios(total: Totals, rows: Flags) -> tuple[Integers, Floats]:
    """k and ||G_k|| / rms ||g|| of the micro-steps in `rows`."""
    window, k = total.axis.window[rows], total.axis.micro_step[rows]
    squares = np.bincount(window, weights=np.nan_to_num(total.micro_value[rows]) ** 2)
    rms = np.sqrt(squares[window] / total.axis.length[window])
    return k, np.nan_to_num(total.value[rows]) / rms


def _faults(total: Totals, windows: int) -> dict[str, Flags]:
    """Of each window, the first reason why it does not count."""
    axis = total.axis
    micro = axis.phase == Phase.MICRO_STEP

    def any_of(rows: Flags) -> Flags:
        return np.bincount(axis.window[rows], minlength=windows) > 0

    stale = (axis.phase == Phase.RESET) & (total.nonfinite != NO_GRADIENT) & (total.value != 0)
    edits = (axis.phase == Phase.EDIT) & (axis.micro_step < axis.length[axis.window])
    seen = np.bincount(axis.window[micro], minlength=windows)
    squares = np.bincount(
        axis.window[micro], weights=np.nan_to_num(total.micro_value[micro]) ** 2, minlength=windows
    )
    nonfinite = any_of(micro & ((total.nonfinite > 0) | (total.micro_nonfinite > 0)))
    not_reset = any_of(stale) & ~nonfinite
    edited = any_of(edits) & ~nonfinite & ~not_reset
    rest = ~nonfinite & ~not_reset & ~edited
    incomplete = ((seen != axis.length) | (squares == 0)) & rest
    return {"not_reset": not_reset, "edited": edited, "nonfinite": nonfinite, "incomplete": incomplete}
