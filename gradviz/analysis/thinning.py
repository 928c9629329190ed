"""Fewer windows, each of them whole: down-sampling that never breaks a tooth."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.sawtooth import Sawtooth
from gradviz.schema import Phase


def thin_windows(sawtooth: Sawtooth, *, points: int = 4000) -> Sawtooth:
    """At most about `points` rows, cut on window boundaries only.

    The windows are split into equal stretches; of each stays the one with the largest value, the one with the
    smallest peak, and one that was not reset or is not finite, if there is any. First and last stay.
    `windows_total` remains what it was: the picture says how many of how many it shows.
    """
    present = np.unique(sawtooth.window)
    if len(sawtooth.event) <= points or len(present) <= 3:
        return sawtooth
    budget = max(1, int(points / (len(sawtooth.event) / len(present))) - 2)
    stretches = np.array_split(np.arange(len(present)), max(1, budget // 3))
    peak, trouble = _peaks(sawtooth, present)
    kept = {0, len(present) - 1}
    for stretch in stretches:
        kept.update(_chosen(stretch, peak, trouble))
    return _keep(sawtooth, np.isin(sawtooth.window, present[sorted(kept)]))


def _peaks(sawtooth: Sawtooth, present: Integers) -> tuple[Floats, Flags]:
    """Of each window: its largest finite value (NaN: none), and whether something is wrong in it."""
    place = np.searchsorted(present, sawtooth.window)
    peak = np.full(len(present), -np.inf)
    finite = np.isfinite(sawtooth.value) & (sawtooth.phase != Phase.RESET)
    np.maximum.at(peak, place[finite], sawtooth.value[finite])
    peak[np.isneginf(peak)] = np.nan
    trouble = np.zeros(len(present), dtype=np.bool_)
    trouble[place[sawtooth.not_reset | (sawtooth.nonfinite > 0) | (sawtooth.micro_nonfinite > 0)]] = True
    return peak, trouble


def _chosen(stretch: Integers, peak: Floats, trouble: Flags) -> set[int]:
    chosen = {int(stretch[np.argmax(trouble[stretch])])} if trouble[stretch].any() else set()
    known = stretch[np.isfinite(peak[stretch])]
    sound = known[~trouble[known]] if not trouble[known].all() else known  # a window cut by NaN has no peak
    if len(known):
        chosen |= {int(known[np.argmax(peak[known])]), int(sound[np.argmin(peak[sound])])}
    return chosen or {int(stretch[0])}


def _keep(sawtooth: Sawtooth, kept: Flags) -> Sawtooth:
    """The rows in `kept`; a row whose predecessor on the line is gone is no longer joined to it."""
    rows = len(sawtooth.event)
    predecessor = _predecessor(sawtooth.phase)
    joined = sawtooth.joined & np.where(predecessor >= 0, kept[predecessor], False)
    columns = {
        column.name: getattr(sawtooth, column.name)[kept]
        for column in fields(sawtooth)
        if _is_column(getattr(sawtooth, column.name), rows) and not column.name.startswith("window_")
    }
    return replace(sawtooth, **(columns | {"joined": joined[kept]}))


def _predecessor(phase: Integers) -> Integers:
    """The row number of the last row before each that is not an update; -1 for none."""
    numbers = np.where(phase != Phase.UPDATE, np.arange(len(phase)), -1)
    return np.concatenate([[-1], np.maximum.accumulate(numbers)[:-1]])


def _is_column(value: object, rows: int) -> bool:
    return isinstance(value, np.ndarray) and len(value) == rows
