"""The window ledger: one row a window, what went in and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers, ranks_at, values_at
from gradviz.analysis.tables import table_of
from gradviz.analysis.totals import Totals, totals
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WindowLedger:
    """`frame` has one row a window that has a micro-step:

    update, length (micro-steps), consumed (an optimizer stepped on it), skipped (a GradScaler refused to),
    reset (`clean`, `not reset` or `unknown`, as its first backward found it), residual (l2 of what was left),
    edits, nonfinite (elements of G_n), loss (mean of its micro-steps), loss_is_nan (it is, and is not just
    unknown), lr, seconds (of its last event, since the start), weight (of the loss: what its elements weigh
    together, 1 for a mean over the window), clip (what was consumed over G_n), amp_scale, l2 (of G_n; NaN also
    where some of its elements are), coherence (||G_n|| / sum ||g_k||: 1 aligned, 1/sqrt(n) noise). What is not
    known is NaN.
    """

    frame: pd.DataFrame


@table_of.register(WindowLedger)
def _(record: WindowLedger) -> pd.DataFrame:
    return record.frame


def window_ledger(gradients: pd.DataFrame, events: pd.DataFrame | None = None) -> WindowLedger:
    """The ledger over all rows given: norms are those of all their layers together."""
    import pandas as pd  # the frames given have loaded it: figures, which read only records, need not

    total = totals(gradients)
    axis = total.axis
    windows = len(axis.update)
    micro = axis.phase == Phase.MICRO_STEP
    last = _last_rows(axis.window, micro, windows)
    loss = values_at(events, "loss", axis.event)
    elements = values_at(events, "loss_elements", axis.event) / ranks_at(events, axis.event)
    weight = values_at(events, "loss_weight", axis.event) * elements
    skipped = values_at(events, "skipped", axis.event) > 0
    seen = np.bincount(axis.window[micro], minlength=windows).astype(np.float64)
    norms = _sums(axis.window, micro, total.micro_value, windows)
    frame = pd.DataFrame(
        {
            "update": axis.update,
            "length": axis.length,
            "consumed": _any(axis.window, (axis.phase == Phase.UPDATE) & ~skipped, windows),
            "skipped": _any(axis.window, skipped, windows),
            **_resets(total, windows),
            "edits": np.bincount(axis.window[axis.phase == Phase.EDIT], minlength=windows),
            "nonfinite": np.maximum(total.nonfinite[last], 0),
            "loss": _ratio(_sums(axis.window, micro, loss, windows), seen),
            "loss_is_nan": _any(axis.window, values_at(events, "loss_is_nan", axis.event) > 0, windows),
            "lr": _last_known(axis.window, values_at(events, "lr", axis.event), windows),
            "seconds": _last_known(axis.window, values_at(events, "seconds", axis.event), windows),
            "weight": _ratio(_sums(axis.window, micro, weight, windows), (seen > 0).astype(np.float64)),
            "clip": _last_known(axis.window, values_at(events, "clip_coefficient", axis.event), windows),
            "amp_scale": _last_known(axis.window, values_at(events, "amp_scale", axis.event), windows),
            "l2": total.value[last],
            "coherence": _ratio(total.value[last], norms),
        }
    )
    return WindowLedger(frame[_any(axis.window, micro, windows)].reset_index(drop=True))


def few_windows(ledger: WindowLedger, most: int) -> WindowLedger:
    """At most `most` windows, in order: first those that something is odd about, then the last ones."""
    frame = ledger.frame
    if len(frame) <= most:
        return ledger
    odd = (
        (frame["reset"] == "not reset") | (frame["nonfinite"] > 0) | (frame["edits"] > 0) | ~frame["consumed"]
    )
    chosen = np.zeros(len(frame), dtype=np.bool_)
    chosen[np.flatnonzero(odd)[: most // 2]] = True
    rest = np.flatnonzero(~chosen)
    chosen[rest[len(rest) - (most - int(chosen.sum())) :]] = True
    return WindowLedger(frame[chosen].reset_index(drop=True))


def _resets(total: Totals, windows: int) -> dict[str, list[str] | Floats]:
    axis = total.axis
    resets = np.flatnonzero(axis.phase == Phase.RESET)
    clean = (total.nonfinite[resets] == NO_GRADIENT) | (total.value[resets] == 0)
    state = np.full(windows, "unknown", dtype=object)
    state[axis.window[resets]] = np.where(clean, "clean", "not reset")
    residual = np.full(windows, np.nan)
    residual[axis.window[resets]] = np.where(clean, 0.0, total.value[resets])
    return {"reset": state.tolist(), "residual": residual}


def _ratio(above: Floats, below: Floats) -> Floats:
    ratio: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return ratio


def _any(window: Integers, rows: Flags, windows: int) -> Flags:
    return np.bincount(window[rows], minlength=windows) > 0


def _sums(window: Integers, rows: Flags, values: Floats, windows: int) -> Floats:
    """Sums a window; NaN where one value is unknown."""
    return np.bincount(window[rows], weights=values[rows], minlength=windows).astype(np.float64)


def _last_rows(window: Integers, rows: Flags, windows: int) -> Integers:
    last = np.zeros(windows, dtype=np.int64)
    np.maximum.at(last, window[rows], np.flatnonzero(rows))
    return last


def _last_known(window: Integers, values: Floats, windows: int) -> Floats:
    """The last value of each window that is not NaN."""
    known = np.isfinite(values)
    last = _last_rows(window, known, windows)
    return np.where(_any(window, known, windows), values[last], np.nan) if len(values) else np.zeros(0)
