"""Is the gradient clipped once, on the whole sum, at its true size, and now and then only?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.loss_weights import consumption
from gradviz.diagnostics.places import first_update, over_updates
from gradviz.schema import Level

WINDOWS = 3
HALF = 0.5
EQUAL = 1e-3
FIRST = 0.1  # of the updates: early gradients are large in healthy runs


def check_clip_inside_window(story: RunStory) -> list[Finding]:
    """`clip-inside-window`: the sum is clipped between micro-steps, so that early micro-batches shrink again and again.

    Rule: p.grad was cut down (not cleared) after a micro-step before the last in more than half of the windows.
    How to read it: the line is the share of the norm that the cuts inside a window left over; it should be 1.
    Requires: two micro-steps in 3 windows or more.
    """
    windows = story.consumed & (story.length > 1) & ~story.broken
    need(windows.sum() >= WINDOWS, "long_windows")
    edits = story.edits
    with np.errstate(all="ignore"):
        left = np.sqrt(edits.after / edits.before)
    inside = edits.micro_step < story.length[edits.window]
    cut = inside & (edits.wiped == 0) & (left < 1 - EQUAL) & (left > 0)
    clipped = np.zeros(len(story.update), dtype=np.bool_)
    clipped[edits.window[cut]] = True
    clipped &= windows
    if clipped.sum() <= HALF * windows.sum():
        return []
    kept = np.ones(len(story.update))
    np.minimum.at(kept, edits.window[cut], left[cut])
    place = int(np.argmax(cut))
    evidence: dict[str, Evidence] = {
        "windows": int(clipped.sum()),
        "windows_total": int(windows.sum()),
        "left_share": float(np.median(kept[clipped])),
    }
    micro_step = int(edits.micro_step[place])
    where = int(story.update[edits.window[place]])
    series = over_updates(story, "left_share", kept, clipped, limits=(1.0,))
    return [Finding("clip-inside-window", Level.ERROR, (), where, micro_step, evidence, series)]


def check_clip_scaled(story: RunStory) -> list[Finding]:
    """`clip-scaled`: the norm was clipped while the AMP scale was still in it: the update is max_norm / scale long.

    Rule: what was consumed, times the scale, is one number (within 1e-3) in 8 clipped updates or more, and what was
    consumed is not; under a scale that never changed: that number is a round one (one or two digits), what was
    consumed is not, and less than a tenth of the sum was left.
    How to read it: the line is the norm that was consumed; it lies at max_norm / scale.
    Requires: `amp_scale` above 1 at updates.
    """
    scaled = story.consumed & (story.amp_scale > 1) & ~story.skipped & ~story.broken
    if not scaled.any():
        return []
    norm, ratio = story.consumed_norm, consumption(story).ratio
    cut = scaled & (ratio < 1 - EQUAL)
    if cut.sum() < 8:
        return []
    seen = norm * story.amp_scale
    limit = float(np.median(seen[cut]))
    if not _is_one_number(seen[cut]) or np.median(ratio[cut]) > 0.1:
        return []
    if _is_one_number(norm[cut]) and (not _is_round(limit) or _is_round(float(np.median(norm[cut])))):
        return []
    evidence: dict[str, Evidence] = {
        "windows": int(cut.sum()),
        "windows_total": int(scaled.sum()),
        "limit": limit,
        "scale": float(np.median(story.amp_scale[cut])),
        "consumed": float(np.median(norm[cut])),
        "left_share": float(np.median(ratio[cut])),
    }
    series = over_updates(story, "consumed", norm, cut, limits=(limit,), log=True)
    return [Finding("clip-scaled", Level.ERROR, (), first_update(story, cut), None, evidence, series)]


def _is_one_number(values: Floats) -> bool:
    middle = float(np.median(values))
    return bool(np.mean(np.abs(values / middle - 1) <= EQUAL) > 0.9)


def _is_round(value: float) -> bool:
    """Whether someone may have typed this limit: one digit, or two."""
    return abs(float(f"{value:.1e}") / value - 1) <= EQUAL


def check_clip_often(story: RunStory) -> list[Finding]:
    """`clip-often`: most updates are clipped, so that max_norm and not the gradient decides how long a step is.

    Rule: more than half of the updates were cut down to max_norm, after the first 10 %.
    How to read it: the line is the norm before clipping, the dashed line max_norm.
    Requires: 16 updates.
    """
    later = _later(story.consumed & ~story.skipped & ~story.broken)
    if later.sum() < 16:
        need(False, "windows")
    told = consumption(story)
    clipped = told.clipped & later
    if told.limit is None or clipped.sum() <= HALF * later.sum():
        return []
    evidence: dict[str, Evidence] = {
        "windows": int(clipped.sum()),
        "windows_total": int(later.sum()),
        "clipped_share": float(clipped.sum() / later.sum()),
        "limit": told.limit,
        "norm": float(np.median(story.accumulated[later])),
    }
    series = over_updates(story, "accumulated", story.accumulated, clipped, limits=(told.limit,), log=True)
    return [Finding("clip-often", Level.WARNING, (), first_update(story, clipped), None, evidence, series)]


def _later(windows: Flags) -> Flags:
    chosen = np.zeros(len(windows), dtype=np.bool_)
    places = np.flatnonzero(windows)
    chosen[places[int(len(places) * FIRST) :]] = True
    return chosen
