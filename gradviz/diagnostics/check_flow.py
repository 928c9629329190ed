"""Does the gradient reach every depth, and stay in size?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.depth import DepthTrend, depth_trend
from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, MissingEvidence, need
from gradviz.diagnostics.loss_weights import loss_weights
from gradviz.diagnostics.places import first_update, names_of, over_layers, over_updates
from gradviz.schema import Level

FIRST = 20
WEAK, LOST = 0.02, 1e-4
STRONG = 100.0
LARGEST, TYPICAL = 10.0, 3.0
GROWTH, ENDS = 100.0, 5
GREW = 3.0


def check_vanishing(story: RunStory) -> list[Finding]:
    """`vanishing`: gradients shrink from layer to layer on their way to the input.

    Rule: r = rms of an element of g_k, for each weight but the head, in forward order; s = Theil-Sen slope of
    log10 r; R = 10^(-s (L - 1)), the median over the first 20 windows. Warning R < 0.02, error R < 1e-4. Absolute
    thresholds would also fire on converged models.
    How to read it: the bars are r over depth; in a healthy network they stand at about one height.
    Requires: g_k, four hidden weights or more, 3 windows.
    """
    trend, first = _trend_at_start(story)
    ratio = float(np.nanmedian(trend.ratio[first]))
    if not ratio < WEAK:
        return []
    level = Level.ERROR if ratio < LOST else Level.WARNING
    evidence: dict[str, Evidence] = {
        "ratio": ratio,
        "layers": int(trend.weights.sum()),
        "windows": int(first.sum()),
    }
    profile = _profile(story, trend, first)
    return [
        Finding(
            "vanishing",
            level,
            names_of(story, trend.weights)[:1],
            first_update(story, first),
            1,
            evidence,
            profile,
        )
    ]


def _trend_at_start(story: RunStory) -> tuple[DepthTrend, Flags]:
    need(story.has_shares, "shares")
    trend = depth_trend(story, FIRST)
    if trend is None:
        raise MissingEvidence("depth")
    first = np.asarray(np.isfinite(trend.ratio))
    need(first.sum() >= 3, "windows")
    return trend, first


def _profile(story: RunStory, trend: DepthTrend, windows: Flags) -> EvidenceSeries:
    return over_layers(story, "rms", trend.weights, np.median(trend.rms[:, windows], axis=1))


def check_exploding(story: RunStory) -> list[Finding]:
    """`exploding`: gradients grow from layer to layer towards the input, out of proportion to the weights, or in time.

    Rule, any of: R > 100 (see `vanishing`; warning); sqrt(mean_k ||g_k||^2) over ||w||, divided by the loss's weight
    Omega, with a maximum over weights above 10 and a median above 3 (warning; weights that begin at zero or grow to
    three times their size do not count); median ||G_n|| of the last 5 sound
    windows over that of the first 5 above 100 (error).
    How to read it: the bars are g over depth; for growth the line is ||G_n||.
    Requires: g_k and four hidden weights; or ||w|| and the loss's weight; or 10 windows that were reset.
    """
    missing: list[str] = []
    findings: list[Finding] = []
    for part in (_growth, _with_depth, _against_weights):
        try:
            findings += part(story)
        except MissingEvidence as lack:
            missing += lack.what
    if findings:
        return findings[:1]
    need(len(missing) < 3 and "windows" not in missing, *dict.fromkeys(missing))
    return []


def _growth(story: RunStory) -> list[Finding]:
    sound = story.sound & (story.accumulated > 0)
    need(sound.sum() >= 2 * ENDS, "windows")
    norms = story.accumulated[sound]
    growth = float(np.median(norms[-ENDS:]) / np.median(norms[:ENDS]))
    if growth <= GROWTH:
        return []
    evidence: dict[str, Evidence] = {
        "how": "growth",
        "factor": growth,
        "limit": GROWTH,
        "windows": int(sound.sum()),
    }
    last = np.zeros(len(sound), dtype=np.bool_)
    last[np.flatnonzero(sound)[-ENDS:]] = True
    series = over_updates(story, "accumulated", story.accumulated, last, log=True)
    return [Finding("exploding", Level.ERROR, (), first_update(story, last), None, evidence, series)]


def _against_weights(story: RunStory) -> list[Finding]:
    weights = _settled(story)
    need(story.has_shares and weights.any(), "weights")
    omega = loss_weights(story).omega
    windows = story.sound & ~np.isnan(omega) & (omega > 0)
    need(windows.any(), "loss_weight")
    ratio = np.median(_relative(story, weights, omega, windows), axis=1)
    if not (ratio.max() > LARGEST and np.median(ratio) > TYPICAL):
        return []
    worst = int(np.flatnonzero(weights)[np.argmax(ratio)])
    evidence: dict[str, Evidence] = {
        "how": "weights",
        "factor": float(ratio.max()),
        "limit": LARGEST,
        "windows": int(windows.sum()),
    }
    series = over_layers(story, "gradient_to_weight", weights, ratio, limits=(TYPICAL, LARGEST))
    where = first_update(story, windows)
    return [Finding("exploding", Level.WARNING, (story.table.names[worst],), where, None, evidence, series)]


def _settled(story: RunStory) -> Flags:
    """Weights [L] of known size that do not grow out of (nearly) zero, as a zero-initialised adapter or head does."""
    size = np.nan_to_num(story.layers.weight[:, story.consumed])
    if not size.shape[1]:
        return np.zeros(len(size), dtype=np.bool_)
    first, last = size[:, 0], size[:, -1]
    return np.asarray(story.table.matrix & (first > 0) & (last < GREW * first))


def _relative(story: RunStory, weights: Flags, omega: Floats, windows: Flags) -> Floats:
    """sqrt(mean_k ||g_k||^2) / ||w|| / Omega [weights, windows]; 0 where ||w|| is 0 or unknown."""
    rms = story.layers.own[weights][:, windows] / np.sqrt(story.seen[windows])
    size = story.layers.weight[weights][:, windows].astype(np.float64)
    with np.errstate(all="ignore"):
        return np.where(size > 0, rms / size / omega[windows], 0.0)


def _with_depth(story: RunStory) -> list[Finding]:
    trend, first = _trend_at_start(story)
    ratio = float(np.nanmedian(trend.ratio[first]))
    if not ratio > STRONG:
        return []
    evidence: dict[str, Evidence] = {
        "how": "depth",
        "factor": ratio,
        "limit": STRONG,
        "windows": int(first.sum()),
    }
    names = names_of(story, trend.weights)[:1]
    profile = _profile(story, trend, first)
    return [Finding("exploding", Level.WARNING, names, first_update(story, first), 1, evidence, profile)]
