"""One window as a waterfall: how each micro-batch moved |G_k| on its way to the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers, Statistic, integers, rows_of_layer, values_at
from gradviz.analysis.groups import Group, rolled_up
from gradviz.analysis.tables import framed, known, phase_names, table_of
from gradviz.analysis.totals import totals
from gradviz.analysis.window_shares import window_shares
from gradviz.analysis.windows import WindowAxis
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

RECORDED = frozenset(
    {
        "event", "update", "micro_step", "phase", "seconds", "loss", "loss_is_nan", "loss_weight", "loss_reduction",
        "loss_elements", "lr", "amp_scale", "clip_coefficient", "skipped", "ranks",
    }
)  # fmt: skip
"""Columns of `Run.events()` that gradviz records by itself."""


@dataclass(frozen=True)
class Waterfall:
    """The B moments of one window in order: reset, micro-steps, edits, update (`phase`, of `schema.Phase`).

    `after` is the statistic of `p.grad` at that moment, `before` at the one before it (0 at the reset); NaN
    where it is not finite or was not recorded. `layer` None is the whole model.

    `shares` is how much of the update each micro-step made, and what was left over before them (`window_shares`); NaN
    where it is not known and of other moments. `largest` is the place of the micro-step with the largest share (-1:
    none) and `share` that share; where they are not known, the micro-step that moved the value most, and its part of
    all the movement. `logged` are further numbers that were logged with these moments, by name.
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
    shares: Floats
    largest: int
    share: float
    logged: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def has_shares(self) -> bool:
        """Whether it is known which micro-step made how much of the update."""
        return bool(np.isfinite(self.shares).any())

    @property
    def leftover(self) -> float:
        """The share of the update that is older than its window; 0 where there is none or it is not known."""
        return float(np.nansum(self.shares[self.phase == Phase.RESET]))

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
            "share": record.shares,
            "loss": record.loss,
            **record.logged,
        }
    )


def waterfall(
    gradients: pd.DataFrame,
    *,
    update: int,
    layer: str | None = None,
    statistic: Statistic = "l2",
    events: pd.DataFrame | None = None,
    table: pd.DataFrame | None = None,
) -> Waterfall:
    """The window that leads to `update`.

    Args:
        gradients: of `Run.gradients()`; without `layer` all its layers together.
        events: of `Run.events()`, for what was logged.
        table: `Run.layers`; without it only `l2` and `max_abs` of several layers are known (`QueryError` otherwise).
    """
    rows = gradients[integers(gradients, "update") == update]
    rows = _one_update(rows) if layer is None else rows_of_layer(rows, layer)
    total = totals(rows if table is None else _together(rows, table), statistic)
    axis = total.axis
    after = np.where(total.nonfinite == -1, 0.0, total.value)
    before = np.concatenate([[0.0], after[:-1]])[: len(after)]
    holes = np.diff(axis.micro_step, prepend=0) > 1
    before[holes] = np.nan
    micro = axis.phase == Phase.MICRO_STEP
    shares = _shares_at(rows, axis)
    known_shares = np.isfinite(shares[micro]).any()
    largest, share = _greatest(shares, micro) if known_shares else _largest(np.abs(after - before), micro)
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
        shares=shares,
        largest=largest,
        share=share,
        logged=_logged(events, axis),
    )


def _together(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of several layers as if they were one."""
    names = rows["layer"].cat.categories
    return rolled_up(rows, table, [Group("", tuple(str(name) for name in names))])


def _shares_at(rows: pd.DataFrame, axis: WindowAxis) -> Floats:
    """The share of each moment of the axis; NaN at edits and updates."""
    shares = window_shares(rows)
    counted = (axis.phase == Phase.MICRO_STEP) | (axis.phase == Phase.RESET)
    return np.where(counted, shares[np.where(counted, axis.micro_step, 0)], np.nan)


def _logged(events: pd.DataFrame | None, axis: WindowAxis) -> dict[str, Floats]:
    """Numbers that the training logged itself with a micro-step of this window."""
    if events is None:
        return {}
    own = [name for name in events.columns if name not in RECORDED and events[name].dtype.kind in "fiu"]
    found = {str(name): values_at(events, name, axis.event) for name in own}
    micro = axis.phase == Phase.MICRO_STEP
    return {name: values for name, values in found.items() if np.isfinite(values[micro]).any()}


def _one_update(rows: pd.DataFrame) -> pd.DataFrame:
    """Several optimizers that step back to back consume one window together: their events become one."""
    updates = rows["phase"] == "update"
    last = rows["event"].where(~updates, rows["event"][updates].max()).astype(np.int64)
    return rows.assign(event=last)


def _greatest(shares: Floats, micro: Flags) -> tuple[int, float]:
    place = int(np.argmax(np.where(micro, shares, -np.inf)))
    return place, float(shares[place])


def _largest(movement: Floats, micro: Flags) -> tuple[int, float]:
    movement = np.where(micro & np.isfinite(movement), movement, 0.0)
    if not movement.any():
        return -1, 0.0
    return int(np.argmax(movement)), float(movement.max() / movement.sum())
