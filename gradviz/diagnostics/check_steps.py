"""How far each update moves the weights, relative to their size."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.places import first_update, known_median, over_updates
from gradviz.schema import Level

BLOCK = 8
HIGH, LOW = 0.15, 1e-6
BAND = (1e-4, 2e-2)


def check_update_ratio_high(story: RunStory) -> list[Finding]:
    """`update-ratio-high`: each update changes the weights by a good part of their size.

    Rule: u = ||dw|| / ||w|| of a weight, median over weights; the calmest 8 updates in a row have a median above 0.15.
    How to read it: the line is u; the band 1e-4 .. 2e-2 is where trainings usually run.
    Requires: `weight_l2` and `step_l2` at 8 updates that consumed something.
    """
    ratio, windows = _ratio(story)
    values = ratio[windows]
    blocks = np.median(np.lib.stride_tricks.sliding_window_view(values, BLOCK), axis=1)
    if not blocks.min() > HIGH:
        return []
    return [_finding(story, "update-ratio-high", ratio, windows, float(np.median(values)), HIGH)]


def check_update_ratio_low(story: RunStory) -> list[Finding]:
    """`update-ratio-low`: updates are so small that the weights hardly move.

    Rule: u = ||dw|| / ||w|| of a weight, median over weights; the median over updates with lr > 0 is below 1e-6.
    How to read it: the line is u; the band 1e-4 .. 2e-2 is where trainings usually run.
    Requires: `weight_l2`, `step_l2` and `lr` at 8 updates.
    """
    ratio, windows = _ratio(story)
    windows = windows & (story.lr > 0)
    need(windows.sum() >= BLOCK, "lr")
    typical = float(np.median(ratio[windows]))
    if not typical < LOW:
        return []
    return [_finding(story, "update-ratio-low", ratio, windows, typical, LOW)]


def _ratio(story: RunStory) -> tuple[Floats, Flags]:
    """u of each window [W], NaN where unknown, and the windows that count: 8 at least."""
    size, moved = (
        values[story.table.matrix].astype(np.float64) for values in (story.layers.weight, story.layers.step)
    )
    known = (size > 0) & ~np.isnan(moved)
    windows = (story.consumed_norm > 0) & ~story.skipped & ~story.broken & known.any(axis=0)
    need(windows.sum() >= BLOCK, "steps")
    ratio = np.full(len(windows), np.nan)
    with np.errstate(all="ignore"):
        ratio[windows] = np.nanmedian(np.where(known, moved / size, np.nan)[:, windows], axis=0)
    return ratio, windows


def _finding(
    story: RunStory, code: str, ratio: Floats, windows: Flags, typical: float, limit: float
) -> Finding:
    evidence: dict[str, Evidence] = {
        "ratio": typical,
        "limit": limit,
        "windows": int(windows.sum()),
        "lr": known_median(story.lr[windows]),
    }
    series = over_updates(story, "update_ratio", ratio, windows, limits=BAND, log=True)
    return Finding(code, Level.WARNING, (), first_update(story, windows), None, evidence, series)
