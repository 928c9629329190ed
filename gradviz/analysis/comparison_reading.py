"""What each of several runs consumed, read in one of two ways: every update, or blocks of 16 of a long run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradviz.analysis.comparison_clock import CLOCK_COLUMNS, RunClock, run_clock
from gradviz.analysis.frames import Flags, Floats, Statistic
from gradviz.analysis.heat_map import HeatMap, block_columns, heat_map, heat_map_of_updates

if TYPE_CHECKING:
    from gradviz.store import Run

EVERY_COLUMN = 2**31  # none are put together
BLOCK = 16  # updates
ROWS_AT_ONCE = 2**17  # of an overview: some tens of megabytes


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs that are compared: `consumed` [L, C] is what its updates consumed, `numel` [L] the elements.

    A column of `consumed` is one update or, where `is_exact` is False, a block of up to 16 of them.
    """

    name: str
    clock: RunClock
    consumed: HeatMap
    numel: Floats
    is_exact: bool

    def of_layer(self, layer: str) -> tuple[Floats, Flags]:
        """The statistic of one layer [C], NaN where it is unknown, and where it was not finite."""
        if layer not in self.consumed.layers:
            width = len(self.consumed.first_update)
            return np.full(width, np.nan), np.zeros(width, dtype=np.bool_)
        row = self.consumed.layers.index(layer)
        broken = self.consumed.broken[row]
        return np.where(broken, np.nan, self.consumed.value[row]), broken

    def of_model(self) -> tuple[Floats, Flags]:
        """The same of all layers as one gradient: mean |x| over all elements, the root of the squares, the maximum."""
        value, known = self.consumed.value, self.consumed.count > 0
        zeroed = np.where(known, value, 0.0)
        if self.consumed.statistic == "l2":
            whole = np.sqrt((zeroed**2).sum(axis=0))
        elif self.consumed.statistic == "max_abs":
            whole = zeroed.max(axis=0, initial=0.0)
        else:
            elements = (known * self.numel[:, None]).sum(axis=0)
            whole = (zeroed * self.numel[:, None]).sum(axis=0) / np.maximum(elements, 1.0)
        broken = self.consumed.broken.any(axis=0)
        return np.where(known.any(axis=0) & ~broken, whole, np.nan), np.asarray(broken)


def compared_run(
    run: Run,
    *,
    name: str | None = None,
    statistic: Statistic = "l2",
    layers: Sequence[str] | None = None,
    updates: tuple[int, int] | None = None,
    exact: bool = True,
    clock: RunClock | None = None,
) -> ComparedRun:
    """Read what the updates of `run` consumed; those that a GradScaler refused are in none of it.

    Args:
        name: what the run is called beside the others; default: its own name.
        layers: their names; those that the run lacks are left out. None: all.
        updates: inclusive pair; None for all.
        exact: read every update, else the overview: means over blocks of 16 updates, cheap for the longest run.
        clock: of `run_clock(run.events())`, where it is known already.
    """
    table = run.layers
    known = [str(layer) for layer in table["layer"]]
    wanted = known if layers is None else [layer for layer in known if layer in set(layers)]
    consumed = (_every_update if exact else _blocks)(run, statistic, wanted, updates)
    numel = table.set_index("layer")["numel"].reindex(wanted).to_numpy(dtype=np.float64)
    clock = run_clock(run.events(columns=CLOCK_COLUMNS)) if clock is None else clock
    return ComparedRun(run.name if name is None else name, clock, consumed, numel, exact)


def rows_to_read(run: Run, layers: int | None = None, updates: tuple[int, int] | None = None) -> int:
    """About how many rows `compared_run(exact=True)` goes through: those of all phases."""
    if run.updates is None or run.last_event is None:
        return 0
    first, last = run.updates
    low, high = (first, last) if updates is None else (max(updates[0], first), min(updates[1], last))
    part = max(high - low + 1, 0) / (last - first + 1)
    return int((len(run.layers) if layers is None else layers) * (run.last_event + 1) * part)


def _every_update(
    run: Run, statistic: Statistic, layers: list[str], updates: tuple[int, int] | None
) -> HeatMap:
    columns = ["event", "update", "phase", "layer", statistic, "nonfinite"]
    rows = run.gradients(layers=layers, updates=updates, phases="update", columns=columns)
    rows["layer"] = rows["layer"].cat.set_categories(layers)
    events = run.events(updates=updates)
    return heat_map_of_updates(rows, statistic=statistic, columns=EVERY_COLUMN, events=events)


def _blocks(run: Run, statistic: Statistic, layers: list[str], updates: tuple[int, int] | None) -> HeatMap:
    """The blocks of a run, stretch by stretch and then side by side: all at once take hundreds of megabytes."""
    pieces = [_stretch(run, statistic, layers, span) for span in _stretches(run, updates)]
    names = ("first_update", "last_update", "value", "total", "count", "nonfinite")
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces], axis=-1) for name in names
    }
    return replace(pieces[0], **whole)


def _stretch(run: Run, statistic: Statistic, layers: list[str], updates: tuple[int, int] | None) -> HeatMap:
    rows = run.overview(updates=updates, columns=block_columns(statistic))
    rows = rows[rows["layer"].isin(layers).to_numpy()]
    rows = rows.assign(layer=rows["layer"].cat.set_categories(layers))
    return heat_map(rows, statistic=statistic, columns=EVERY_COLUMN)


def _stretches(run: Run, updates: tuple[int, int] | None) -> list[tuple[int, int] | None]:
    """Ranges of updates that cut no block, each with about `ROWS_AT_ONCE` rows of the overview."""
    known = run.updates
    if known is None:
        return [updates]
    first, last = known if updates is None else (max(updates[0], known[0]), min(updates[1], known[1]))
    step = BLOCK * max(1, ROWS_AT_ONCE // max(len(run.layers), 1))
    begins = [first, *range((first // step + 1) * step, last + 1, step)]
    return (
        [(begin, end - 1) for begin, end in zip(begins, [*begins[1:], last + 1], strict=True)]
        if first <= last
        else [updates]
    )
