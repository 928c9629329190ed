"""Single moments that stand out from their own past."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.robust import past_median, robust_z
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.places import over_updates
from gradviz.schema import Level

PAST = 64
FIRST_WINDOWS = 16
TIMES = 3.0
SPIKE_Z, NORM_Z, LOSS_Z = 6.0, 6.0, 12.0
SHARE = 0.5
MANY = 3


def check_gradient_spike(story: RunStory) -> list[Finding]:
    """`gradient-spike`: an update whose gradient is far longer than those before it.

    Rule: robust z of log ||G_n|| (median and MAD of the last 64 sound windows, MAD at least 0.05) above 6, and more
    than 3 times that median, after 16 windows.
    How to read it: the line is ||G_n||; the marks are the spikes.
    Requires: 17 windows that were reset, of the usual length where there is one.
    """
    sound = np.flatnonzero(story.sound & (story.accumulated > 0))
    need(len(sound) > FIRST_WINDOWS, "windows")
    norms = story.accumulated[sound]
    high = np.flatnonzero(norms > TIMES * past_median(norms, PAST, FIRST_WINDOWS))
    scores = robust_z(np.log(norms), high, PAST)
    high, scores = high[scores > SPIKE_Z], scores[scores > SPIKE_Z]
    if not len(high):
        return []
    worst = int(high[np.argmax(scores)])
    marked = np.zeros(len(story.update), dtype=np.bool_)
    marked[sound[high]] = True
    evidence: dict[str, Evidence] = {
        "windows": len(high),
        "windows_total": len(sound),
        "norm": float(norms[worst]),
        "median": float(past_median(norms, PAST, FIRST_WINDOWS)[worst]),
        "z": float(scores.max()),
    }
    series = over_updates(story, "accumulated", story.accumulated, marked, log=True)
    where = int(story.update[sound[worst]])
    return [Finding("gradient-spike", Level.WARNING, (), where, None, evidence, series)]


def check_micro_outlier(story: RunStory) -> list[Finding]:
    """`micro-outlier`: one micro-batch that makes up most of its window, or whose loss is far off.

    Rule, in windows of 3 or more, against the 64 micro-steps before it: by norm, ||g_k||^2 / Q > max(0.5, 2 / n), z of
    log ||g_k|| > 6 and > 3 times the median; by loss, z of its logarithm > 12, > 3 times the median, and the only one
    in its window. Information for one or two, a warning for three or more.
    How to read it: the line is ||g_k|| (or the loss) over micro-steps; the marks are the outliers.
    Requires: g_k or the loss of 65 micro-steps in such windows.
    """
    sound = (story.sound & (story.length >= 3))[story.micro.window]
    steps = np.flatnonzero(sound)
    need(len(steps) > PAST, "windows")
    by_norm = _by_norm(story, steps)
    by_loss = _by_loss(story, steps)
    found = np.union1d(by_norm, by_loss)
    if not len(found):
        return []
    how = "norm" if len(by_norm) >= len(by_loss) else "loss"
    values = np.sqrt(story.micro.squares) if how == "norm" else story.micro.loss
    first = int((by_norm if how == "norm" else by_loss)[0])
    evidence: dict[str, Evidence] = {
        "how": how,
        "micro_steps": len(found),
        "micro_steps_total": len(steps),
        "value": float(values[first]),
        "median": float(np.median(values[steps])),
    }
    marked = np.zeros(len(values), dtype=np.bool_)
    marked[found] = True
    count = np.arange(len(values), dtype=np.float64)
    series = EvidenceSeries("own" if how == "norm" else "loss", "micro_step", count, values, marked, log=True)
    where = int(story.update[story.micro.window[first]])
    level = Level.WARNING if len(found) >= MANY else Level.INFO
    return [Finding("micro-outlier", level, (), where, int(story.micro.micro_step[first]), evidence, series)]


def _by_norm(story: RunStory, steps: Integers) -> Integers:
    if not story.has_shares:
        return steps[:0]
    squares, window = story.micro.squares[steps], story.micro.window[steps]
    with np.errstate(all="ignore"):
        share = squares / story.own_squares[window]
    large = share > np.maximum(SHARE, 2 / story.length[window])
    return steps[_stands_out(np.sqrt(squares), large, NORM_Z)]


def _by_loss(story: RunStory, steps: Integers) -> Integers:
    losses, window = story.micro.loss[steps], story.micro.window[steps]
    if not (losses > 0).all():
        return steps[:0]  # unknown, or of a kind that may be negative: there is no logarithm
    out = _stands_out(losses, np.ones(len(losses), dtype=np.bool_), LOSS_Z)
    alone = np.bincount(window[out], minlength=len(story.update)) == 1
    return np.asarray(steps[out[alone[window[out]]]])


def _stands_out(values: Floats, candidates: Flags, z: float) -> Integers:
    high = np.flatnonzero(candidates & (values > TIMES * past_median(values, PAST, PAST)))
    with np.errstate(divide="ignore"):
        scores = robust_z(np.log(values), high, PAST)
    return np.asarray(high[scores > z])
