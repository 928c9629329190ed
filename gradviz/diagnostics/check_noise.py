"""Is accumulating worth it? Signal and noise of the window, from norms only."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from gradviz.analysis.coherence import coherence_of
from gradviz.analysis.noise import NoiseScale, noise_of
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.places import over_updates
from gradviz.schema import Level

TIMES = 8
FEWEST = 8
CONFLICT = 0.7
_KNOWN: WeakKeyDictionary[RunStory, NoiseScale] = WeakKeyDictionary()  # two checks ask for it


def check_over_accumulation(story: RunStory) -> list[Finding]:
    """`over-accumulation`: a much smaller window would give nearly the same update for much less work.

    Rule: 8 B_simple < n b, with the signal a more than 2 standard errors above 0, over the last half of the run.
    How to read it: the line is the noise scale over time, the dashed line the size of the window.
    Requires: g_k, 8 usable windows of two micro-steps or more.
    """
    noise = _noise(story)
    total = noise.total
    if not (total.signal > 2 * total.error and TIMES * total.value < noise.window):
        return []
    return [_finding(story, "over-accumulation", noise)]


def check_noise_dominated(story: RunStory) -> list[Finding]:
    """`noise-dominated`: the window is far too small to show where the gradient points.

    Rule: the lower bound of B_simple is above 8 n b, over the last half of the run.
    How to read it: the line is the noise scale over time, the dashed line the size of the window.
    Requires: g_k, 8 usable windows of two micro-steps or more.
    """
    noise = _noise(story)
    if not noise.total.low > TIMES * noise.window:
        return []
    return [_finding(story, "noise-dominated", noise)]


def _noise(story: RunStory) -> NoiseScale:
    need(story.has_shares, "shares")
    need(story.ranks == 1, "one_rank")
    need((story.length > 1).any(), "long_windows")
    if story not in _KNOWN:
        _KNOWN[story] = noise_of(story)
    noise = _KNOWN[story]
    need(noise.total.windows >= FEWEST and not np.isnan(noise.total.low), "windows")
    return noise


def _finding(story: RunStory, code: str, noise: NoiseScale) -> Finding:
    evidence: dict[str, Evidence] = {
        "noise_scale": noise.total.value,
        "low": noise.total.low,
        "high": noise.total.high,
        "window": noise.window,
        "unit": noise.unit,
        "length": int(np.median(story.length)),
        "windows": noise.total.windows,
    }
    values = np.full(len(story.update), np.nan)
    places = np.searchsorted(story.update, noise.updates)
    values[places] = [block.value for block in noise.blocks]
    marked = np.isfinite(values)
    series = over_updates(story, "noise_scale", values, marked, limits=(noise.window,), log=True)
    return Finding(code, Level.INFO, (), None, None, evidence, series)


def check_conflict(story: RunStory) -> list[Finding]:
    """`conflict`: micro-gradients of a window point against each other, and cancel when they are summed.

    Rule: the median of P / Q = ||G_n||^2 / sum ||g_k||^2 over 8 windows or more is below 0.7 (independent micro-batches
    give 1 or more; the healthy minimum is 0.94), and so it is in the first 8. Only windows that were reset and not
    changed inside count. A window that covers much of a small data set cancels by itself once the model
    has converged, but not before; that is no conflict.
    How to read it: the line is P / Q; below 1 the window is shorter than its parts.
    Requires: g_k, 8 usable windows of two micro-steps or more.
    """
    need(story.has_shares, "shares")
    need(story.ranks == 1, "one_rank")
    need((story.length > 1).any(), "long_windows")
    told = coherence_of(story)
    need(len(told.gain) >= FEWEST, "windows")
    gain = float(np.median(told.gain))
    if not gain < CONFLICT:
        return []
    need(np.median(told.gain[:FEWEST]) < CONFLICT, "dataset_size")
    windows = np.isin(story.update, told.update[told.gain < CONFLICT])
    values = np.full(len(story.update), np.nan)
    values[np.isin(story.update, told.update)] = told.gain
    evidence: dict[str, Evidence] = {
        "gain": gain,
        "length": int(np.median(told.length)),
        "windows": int(windows.sum()),
        "windows_total": len(told.gain),
        "lost_share": float(1 - np.sqrt(gain)),
    }
    series = over_updates(story, "gain", values, windows, limits=(CONFLICT, 1.0))
    return [Finding("conflict", Level.WARNING, (), int(told.update[0]), None, evidence, series)]
