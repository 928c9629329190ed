"""One window as a waterfall: how each micro-batch moved |G_k| on its way to the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers, Statistic, integers, rows_of_layer, values_at
from gradviz.analysis.tables import framed, known, phase_names, table_of
from gradviz.analysis.totals import totals
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Waterfall:
    """The B moments of one window in order: reset, micro-steps, edits, update (`phase`, of `schema.Phase`).

    `after` is the statistic of `p.grad` at that moment, `before` at the one before it (0 at the reset); NaN
    where it is not finite or was not recorded. `largest` is the place of the micro-step that moved it most
    (-1: none) and `share` its part of all the movement. `layer` None is the whole model.
    """

    update: int
    layer: str | None
    statistic: Statistic
    phase: Integers
    micro_step: Integers
    before: Floats
    after: Floats
    micro_value: Floats
    nonfinite: Integers
    loss: Floats
    largest: int
    share: float

    @property
    def change(self) -> Floats:
        """How far each moment moved the value."""
        return self.after - self.before


@table_of.register(Waterfall)
def _(record: Waterfall) -> pd.DataFrame:
    """One row a moment of the window."""
    return framed(
        {
            "update": record.update,
            "layer": record.layer,
            "statistic": record.statistic,
            "phase": phase_names(record.phase),
            "micro_step": record.micro_step,
            "before": record.before,
            "after": record.after,
            "change": record.change,
            "micro_value": record.micro_value,
            "nonfinite": known(record.nonfinite),
            "loss": record.loss,
        }
    )


def waterfall(
    gradients: pd.DataFrame,
    *,
    update: int,
    layer: str | None = None,
    statistic: Statistic = "l2",
    events: pd.DataFrame | None = None,
) -> Waterfall:
    """The window that leads to `update`. Whole models need `l2` or `max_abs` (`QueryError` otherwise)."""
    rows = gradients[integers(gradients, "update") == update]
    total = totals(_one_update(rows) if layer is None else rows_of_layer(rows, layer), statistic)
    axis = total.axis
    after = np.where(total.nonfinite == -1, 0.0, total.value)
    before = np.concatenate([[0.0], after[:-1]])[: len(after)]
    holes = np.diff(axis.micro_step, prepend=0) > 1
    before[holes] = np.nan
    largest, share = _largest(np.abs(after - before), axis.phase == Phase.MICRO_STEP)
    return Waterfall(
        update=update,
        layer=layer,
        statistic=statistic,
        phase=axis.phase,
        micro_step=axis.micro_step,
        before=before,
        after=after,
        micro_value=total.micro_value,
        nonfinite=total.nonfinite,
        loss=values_at(events, "loss", axis.event),
        largest=largest,
        share=share,
    )


def _one_update(rows: pd.DataFrame) -> pd.DataFrame:
    """Several optimizers that step back to back consume one window together: their events become one."""
    updates = rows["phase"] == "update"
    last = rows["event"].where(~updates, rows["event"][updates].max()).astype(np.int64)
    return rows.assign(event=last)


def _largest(movement: Floats, micro: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, float]:
    movement = np.where(micro & np.isfinite(movement), movement, 0.0)
    if not movement.any():
        return -1, 0.0
    return int(np.argmax(movement)), float(movement.max() / movement.sum())
