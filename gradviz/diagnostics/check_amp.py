"""Mixed precision: one scale a window, and refused updates now and then only."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.story import RunStory
from gradviz.diagnostics.check_windows import span
from gradviz.diagnostics.findings import Evidence, Finding
from gradviz.diagnostics.places import first_update, over_updates
from gradviz.schema import Level

MANY = 0.05
FIRST_UPDATES = 100  # in which the scale finds its place


def check_scale_inside_window(story: RunStory) -> list[Finding]:
    """`scale-inside-window`: the AMP scale changes between micro-steps, so that they are summed at different sizes.

    Rule: the scale differs between the micro-steps of one window.
    How to read it: the line is the largest scale of a window over its smallest; it should be 1.
    Requires: `amp_scale` at micro-steps (without one there is no scaler, and nothing to check).
    """
    least, most = span(story, story.micro.amp_scale)
    differs = most > least
    if not differs.any():
        return []
    place = int(np.argmax(differs))
    evidence: dict[str, Evidence] = {
        "windows": int(differs.sum()),
        "windows_total": int((~np.isnan(least)).sum()),
        "scale_least": float(least[place]),
        "scale_most": float(most[place]),
    }
    with np.errstate(all="ignore"):
        series = over_updates(story, "scale_span", most / least, differs, limits=(1.0,))
    return [Finding("scale-inside-window", Level.ERROR, (), int(story.update[place]), None, evidence, series)]


def check_amp_overflow(story: RunStory) -> list[Finding]:
    """`amp-overflow`: the GradScaler refused updates because scaled gradients overflowed.

    Rule: an update was skipped. A warning where more than 5 % are, after the first 100 updates.
    How to read it: the line is the AMP scale, the marks are the refused updates; expected now and then.
    Requires: `skipped` at updates (without one there is no scaler, and nothing to check).
    """
    refused = story.skipped & story.consumed
    if not refused.any():
        return []
    later = np.flatnonzero(story.consumed)[FIRST_UPDATES:]
    many = len(later) > 0 and refused[later].mean() > MANY
    evidence: dict[str, Evidence] = {
        "windows": int(refused.sum()),
        "windows_total": int(story.consumed.sum()),
        "skipped_share": float(refused.sum() / story.consumed.sum()),
    }
    series = over_updates(story, "amp_scale", story.amp_scale, refused, log=True)
    level = Level.WARNING if many else Level.INFO
    return [Finding("amp-overflow", level, (), first_update(story, refused), None, evidence, series)]
