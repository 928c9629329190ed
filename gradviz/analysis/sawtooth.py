"""The sawtooth: one layer's accumulated gradient G_k over all micro-steps, with what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import (
    NO_GRADIENT,
    Flags,
    Floats,
    Integers,
    Statistic,
    counts,
    floats,
    integers,
    phases,
    rows_of_layer,
    values_at,
)
from gradviz.analysis.tables import framed, known, phase_names, table_of
from gradviz.analysis.windows import WindowAxis, window_axis
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sawtooth:
    """One layer, N events in order, in W windows. `nonfinite` is -1 where there was no gradient (None).

    `value` is the statistic of `p.grad`: G_0 in a `reset` row, G_k in a `micro_step` row, what is left in an
    `edit` row, what the optimizer consumed in an `update` row. `micro_value` is the statistic of g_k.
    `skipped` marks update rows whose step a GradScaler refused: `value` is what it would have consumed.
    `joined` says that the event before this one was recorded, so that a line may lead here. The totals count
    windows before any thinning: with micro-steps, with an observed reset, with a stale start, with an edit.
    `seam_update` are the updates at which the run was resumed by another process.
    """

    layer: str
    statistic: Statistic
    event: Integers
    update: Integers
    micro_step: Integers
    phase: Integers
    window: Integers
    x: Floats
    value: Floats
    micro_value: Floats
    nonfinite: Integers
    micro_nonfinite: Integers
    cosine: Floats
    loss: Floats
    skipped: Flags
    joined: Flags
    window_update: Integers
    window_start: Floats
    window_length: Integers
    window_missed: Integers
    windows_total: int
    resets_total: int = 0
    stale_total: int = 0
    edited_total: int = 0
    seam_update: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def windows_shown(self) -> int:
        """How many windows have a micro-step here."""
        return len(np.unique(self.window[self.phase == Phase.MICRO_STEP]))

    @property
    def clean(self) -> Flags:
        """Reset rows that found nothing: no gradient at all, or exact zeros."""
        clean: Flags = self._reset & self._empty
        return clean

    @property
    def not_reset(self) -> Flags:
        """Reset rows that found something left, and a window that builds on this stale gradient."""
        stale: Flags = self._reset & ~self._empty & (self.window_length[self.window] > 0)
        return stale

    @property
    def left(self) -> Flags:
        """What was left when the run ended: no fault, many loops clear at the top of the next iteration."""
        left: Flags = self._reset & ~self._empty & (self.window_length[self.window] == 0)
        return left

    @property
    def cleared_value(self) -> Floats:
        """`value`, with 0 where a reset or an edit cleared the gradient to None."""
        return np.where(self._cleared, 0.0, self.value)

    @property
    def cleared_nonfinite(self) -> Integers:
        """`nonfinite`, with 0 where a reset or an edit cleared the gradient to None."""
        return np.where(self._cleared, 0, self.nonfinite)

    @property
    def arrived(self) -> Floats:
        """Of each update row: G_n, as the last micro-step left it; NaN elsewhere and where it is unknown."""
        before = np.append(np.nan, np.where(self.phase == Phase.MICRO_STEP, self.value, np.nan)[:-1])
        inside = np.append(False, np.diff(self.window) == 0) if len(self.window) else self._empty
        return np.where((self.phase == Phase.UPDATE) & inside, before[: len(inside)], np.nan)

    @property
    def rescaled(self) -> Flags:
        """Update rows whose consumed value is not G_n: clipped or unscaled in between."""
        same = np.isclose(self.arrived, self.value, rtol=1e-5, atol=0)
        return np.isfinite(self.arrived) & np.isfinite(self.value) & ~same & ~self.skipped

    @property
    def _reset(self) -> Flags:
        reset: Flags = self.phase == int(Phase.RESET)
        return reset

    @property
    def _empty(self) -> Flags:
        empty: Flags = (self.nonfinite == NO_GRADIENT) | (self.value == 0)
        return empty

    @property
    def _cleared(self) -> Flags:
        cleared: Flags = (self.nonfinite == NO_GRADIENT) & (self._reset | (self.phase == int(Phase.EDIT)))
        return cleared


@table_of.register(Sawtooth)
def _(record: Sawtooth) -> pd.DataFrame:
    """One row an event that is drawn."""
    return framed(
        {
            "layer": record.layer,
            "event": record.event,
            "update": record.update,
            "micro_step": record.micro_step,
            "phase": phase_names(record.phase),
            record.statistic: record.value,
            f"micro_{record.statistic}": record.micro_value,
            "nonfinite": known(record.nonfinite),
            "micro_nonfinite": known(record.micro_nonfinite),
            "cosine": record.cosine,
            "loss": record.loss,
            "skipped": record.skipped,
        }
    )


def sawtooth(
    gradients: pd.DataFrame,
    *,
    layer: str,
    statistic: Statistic = "mean_abs",
    events: pd.DataFrame | None = None,
    segments: pd.DataFrame | None = None,
) -> Sawtooth:
    """The sawtooth of `layer`; the axis is that of *all* rows given, so that several layers share it.

    `events` (of `Run.events()`) adds the loss of each micro-step, `segments` (of `Run.segments`) the seams.
    """
    axis = window_axis(gradients)
    rows = rows_of_layer(gradients, layer)
    event, micro_step, phase = integers(rows, "event"), integers(rows, "micro_step"), phases(rows)
    place = np.searchsorted(axis.event, event)
    window = axis.window[place]
    whole = Sawtooth(
        layer=layer,
        statistic=statistic,
        event=event,
        update=integers(rows, "update"),
        micro_step=micro_step,
        phase=phase,
        window=window,
        x=axis.x[place],
        value=floats(rows, statistic),
        micro_value=floats(rows, f"micro_{statistic}"),
        nonfinite=counts(rows, "nonfinite"),
        micro_nonfinite=counts(rows, "micro_nonfinite"),
        cosine=floats(rows, "cosine"),
        loss=values_at(events, "loss", event),
        skipped=values_at(events, "skipped", event) > 0,
        joined=_joined(window, micro_step, phase, axis),
        window_update=axis.update,
        window_start=axis.start,
        window_length=axis.length,
        window_missed=axis.missed,
        windows_total=len(np.unique(window[phase == Phase.MICRO_STEP])),
    )
    return replace(
        whole,
        resets_total=int((axis.length[window[phase == Phase.RESET]] > 0).sum()),
        stale_total=int(whole.not_reset.sum()),
        edited_total=len(np.unique(window[phase == Phase.EDIT])),
        seam_update=_seams(segments),
    )


def _joined(window: Integers, micro_step: Integers, phase: Integers, axis: WindowAxis) -> Flags:
    """Whether each row follows, without a hole, on the last row before it that is not an update."""
    joined = np.zeros(len(window), dtype=np.bool_)
    line = np.flatnonzero(phase != Phase.UPDATE)
    before, after = line[:-1], line[1:]
    inside = (window[after] == window[before]) & (micro_step[after] - micro_step[before] <= 1)
    whole_before = micro_step[before] == axis.length[window[before]]
    falls = (
        (window[after] == window[before] + 1)
        & (phase[after] == Phase.RESET)
        & (axis.missed[window[after]] == 0)
        & whole_before
    )
    joined[after] = inside | falls
    return joined


def _seams(segments: pd.DataFrame | None) -> Integers:
    """The updates at which a later segment begins; those of several ranks are one seam."""
    if segments is None or not len(segments):
        return np.zeros(0, dtype=np.int64)
    return np.unique(integers(segments, "first_update"))[1:]
