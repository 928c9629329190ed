"""Coherence and gradient noise scale while a training goes on: pooled over stretches of windows, with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers, integers
from gradviz.analysis.noise import FEWEST, Ratio, parts_of, ratio, sizes_of, usable_windows
from gradviz.analysis.story import RunStory
from gradviz.analysis.tables import framed, table_of

if TYPE_CHECKING:
    import pandas as pd

LOW, HIGH = 0.1, 0.9
STRETCH = 24  # windows of a stretch: fewer leave the noise scale unknown, more hide its course
PART = 12  # a stretch is no less than this part of a long run
POINTS = 120
LEAST_PIECE = 8  # windows


@dataclass(frozen=True)
class NoiseOverTime:
    """P stretches of `width` usable windows each, which overlap, from update `first` to `last` [P].

    `coherence` is the median over the windows of a stretch of ||G_n|| / sum ||g_k|| (1: aligned), with its quantiles
    of 10 % and 90 %; `floor` the median of what pure noise gives. `noise` is the noise scale B_simple in `unit`, as
    in `NoiseScale`, pooled over the stretch, with its 95 % interval; infinite or NaN where the windows do not tell.
    `window` and `micro_batch` are usual sizes in that unit. `used` of `read` windows count; the run has `total`.
    `reason` says why there is nothing: `nothing`, `ranks`, `shares`, `single`, `unsound` or `few`; else it is empty.
    `layer` None is the whole model.
    """

    layer: str | None
    unit: str
    first: Integers
    last: Integers
    coherence: Floats
    coherence_low: Floats
    coherence_high: Floats
    floor: Floats
    noise: Floats
    noise_low: Floats
    noise_high: Floats
    window: float
    micro_batch: float
    width: int
    used: int
    read: int
    total: int
    reason: str


@table_of.register(NoiseOverTime)
def _(record: NoiseOverTime) -> pd.DataFrame:
    """One row a stretch."""
    columns = ("coherence", "coherence_low", "coherence_high", "floor", "noise", "noise_low", "noise_high")
    return framed(
        {"layer": record.layer, "first_update": record.first, "last_update": record.last}
        | {name: getattr(record, name) for name in columns}
        | {"unit": record.unit, "windows": record.width}
    )


def noise_over_time(story: RunStory, *, layer: str | None = None) -> NoiseOverTime:
    """Coherence and noise scale of all layers of the story together, over rolling stretches of its windows.

    Args:
        story: of the whole run, or of some of its layers and windows.
        layer: what those layers are called; None for the whole model.

    Formulas: `gradviz.analysis.noise` and `gradviz.analysis.coherence`.
    """
    windows = usable_windows(story)
    unit, sizes = sizes_of(story, None)
    signal, noise = parts_of(story, windows, sizes, story.accumulated**2, story.own_squares)
    usable = np.flatnonzero(windows & np.isfinite(signal) & np.isfinite(noise))
    reason = _reason(story, len(usable))
    width = stretch_width(len(usable))
    starts = _starts(len(usable) - width + 1) if not reason else np.zeros(0, dtype=np.int64)
    stretches = [usable[start : start + width] for start in starts]
    told = [ratio(signal[stretch], noise[stretch]) for stretch in stretches]
    lengths = story.per_window(np.sqrt(story.micro.squares))
    with np.errstate(all="ignore"):
        coherence, floor = story.accumulated / lengths, np.sqrt(story.own_squares) / lengths
    low, middle, high = _quantiles(coherence, stretches)
    sums = story.per_window(sizes)[usable]
    inside = np.isin(story.micro.window, usable)
    return NoiseOverTime(
        layer=layer,
        unit=unit,
        first=np.array([story.update[stretch[0]] for stretch in stretches], dtype=np.int64),
        last=np.array([story.update[stretch[-1]] for stretch in stretches], dtype=np.int64),
        coherence=middle,
        coherence_low=low,
        coherence_high=high,
        floor=_quantiles(floor, stretches)[1],
        noise=_column(told, "value"),
        noise_low=_column(told, "low"),
        noise_high=_column(told, "high"),
        window=float(np.median(sums)) if len(usable) else float("nan"),
        micro_batch=float(np.median(sizes[inside])) if len(usable) else float("nan"),
        width=width,
        used=len(usable),
        read=len(story.update),
        total=story.windows_total,
        reason=reason,
    )


def stretch_width(usable: int) -> int:
    """How many of so many usable windows make a stretch."""
    return max(FEWEST, min(STRETCH, usable // 2), usable // PART)


def spread_updates(events: pd.DataFrame, *, most: int, pieces: int) -> list[tuple[int, int]] | None:
    """At most `pieces` ranges of updates, evenly over the run, that hold about `most` events; None where all fit."""
    if len(events) <= most:
        return None
    known = np.unique(integers(events, "update"))
    windows = max(LEAST_PIECE, int(len(known) * most / len(events) / pieces))
    starts = np.linspace(0, max(len(known) - windows, 0), pieces).astype(np.int64)
    starts = starts[np.diff(starts, prepend=-windows) >= windows]
    return [(int(known[start]), int(known[min(start + windows, len(known)) - 1])) for start in starts]


def _reason(story: RunStory, usable: int) -> str:
    """Why nothing can be said of these windows; empty where something can."""
    reasons = {
        # no row of them is there, or can be read
        "nothing": not (story.has_shares or story.accumulated.any()),
        "ranks": story.ranks > 1,
        "shares": not story.has_shares,
        "single": bool((story.length <= 1).all()),
        "unsound": usable < FEWEST <= int((story.length > 1).sum()),
        "few": usable < FEWEST,
    }
    return next((name for name, holds in reasons.items() if holds), "")


def _starts(places: int) -> Integers:
    return np.unique(np.linspace(0, places - 1, min(places, POINTS)).astype(np.int64))


def _quantiles(values: Floats, stretches: Sequence[Integers]) -> tuple[Floats, Floats, Floats]:
    found = [np.quantile(values[stretch], (LOW, 0.5, HIGH)) for stretch in stretches]
    low, middle, high = np.array(found).reshape(-1, 3).T
    return low, middle, high


def _column(told: Sequence[Ratio], name: str) -> Floats:
    return np.array([getattr(one, name) for one in told], dtype=np.float64)
