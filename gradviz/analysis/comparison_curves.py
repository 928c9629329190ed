"""Runs beside each other: what their updates consumed, and their losses, on one common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from gradviz.analysis.comparison_clock import Axis, RunClock
from gradviz.analysis.comparison_reading import ComparedRun
from gradviz.analysis.frames import Flags, Floats, Integers, Statistic
from gradviz.analysis.tables import table_of

if TYPE_CHECKING:
    import pandas as pd

POINTS = 2000  # of one curve; a longer one shows the extremes of each stretch
WHOLE_MODEL = ""  # the name of the part that is all layers together


@dataclass(frozen=True)
class Curve:
    """N points of one run. `value` is NaN where nothing is known; `broken` where it was not finite."""

    run: str
    update: Integers
    x: Floats
    value: Floats
    broken: Flags
    total: int
    """Points before any thinning."""


@dataclass(frozen=True)
class ComparedCurves:
    """For each part of the model (a layer, or `WHOLE_MODEL`) a curve for each run: `curves[part][run]`.

    `each` is the greatest number of updates that a point stands for: 1, or 16 where blocks were read.
    """

    runs: tuple[str, ...]
    parts: tuple[str, ...]
    quantity: Statistic | Literal["loss"]
    axis: Axis
    curves: tuple[tuple[Curve, ...], ...]
    each: int


def compared_curves(
    runs: Sequence[ComparedRun], *, layers: Sequence[str] = (), axis: Axis = "update", points: int = POINTS
) -> ComparedCurves:
    """What the updates of each run consumed: of each of `layers`, or of the whole model where none is named."""
    parts = tuple(layers) or (WHOLE_MODEL,)
    statistic = runs[0].consumed.statistic if runs else "l2"
    each = max((run.consumed.updates_a_column for run in runs), default=1)
    curves = tuple(tuple(_curve(run, part, axis, points) for run in runs) for part in parts)
    return ComparedCurves(tuple(run.name for run in runs), parts, statistic, axis, curves, each)


def compared_losses(
    names: Sequence[str],
    clocks: Sequence[RunClock],
    *,
    axis: Axis = "update",
    updates: tuple[int, int] | None = None,
    points: int = POINTS,
) -> ComparedCurves:
    """The mean loss of each window of each run, as `ComparedCurves` of one part."""
    curves = tuple(
        _loss(name, clock, axis, updates, points) for name, clock in zip(names, clocks, strict=True)
    )
    return ComparedCurves(tuple(names), (WHOLE_MODEL,), "loss", axis, (curves,), 1)


def _curve(run: ComparedRun, part: str, axis: Axis, points: int) -> Curve:
    value, broken = run.of_model() if part == WHOLE_MODEL else run.of_layer(part)
    update = run.consumed.last_update
    x = run.clock.at(axis, update)
    there = (~np.isnan(value) | broken) & np.isfinite(x)
    return _thinned(run.name, update[there], x[there], value[there], broken[there], points)


def _loss(name: str, clock: RunClock, axis: Axis, updates: tuple[int, int] | None, points: int) -> Curve:
    first, last = (0, np.iinfo(np.int64).max) if updates is None else updates
    there = np.isfinite(clock.loss) & (clock.update >= first) & (clock.update <= last)
    update = clock.update[there]
    none = np.zeros(len(update), dtype=np.bool_)
    return _thinned(name, update, clock.at(axis, update), clock.loss[there], none, points)


def _thinned(run: str, update: Integers, x: Floats, value: Floats, broken: Flags, points: int) -> Curve:
    """The least and the greatest value of each stretch, and the first that is not finite; both ends stay."""
    kept = np.arange(len(update))
    if len(update) > points:
        stretches = np.array_split(kept, max(1, points // 2 - 1))
        chosen = {0, len(update) - 1}
        for stretch in stretches:
            known = stretch[~broken[stretch]]
            if len(known):
                chosen |= {int(known[np.argmin(value[known])]), int(known[np.argmax(value[known])])}
            if len(known) < len(stretch):
                chosen.add(int(stretch[np.argmax(broken[stretch])]))
        kept = np.array(sorted(chosen))
    return Curve(run, update[kept], x[kept], value[kept], broken[kept], len(update))


@table_of.register(ComparedCurves)
def _(record: ComparedCurves) -> pd.DataFrame:
    import pandas as pd

    pieces = [
        pd.DataFrame(
            {
                "run": curve.run,
                "part": part,
                "update": curve.update,
                record.axis if record.axis != "update" else "x": curve.x,
                record.quantity: curve.value,
                "nonfinite": curve.broken,
            }
        )
        for part, curves in zip(record.parts, record.curves, strict=True)
        for curve in curves
    ]
    table = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()
    return table.drop(columns="x", errors="ignore")
