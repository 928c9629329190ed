"""Are the windows as long as they should be, filled with different data, under one learning rate?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.loss_weights import WEIGHT_SLACK, loss_weights
from gradviz.diagnostics.places import first_update, over_updates
from gradviz.schema import Level

WINDOWS = 3
MOST = 0.9
SAME_COSINE, SAME_NORM = 1e-4, 1e-5
SOME = 0.1


def check_step_inside_window(story: RunStory) -> list[Finding]:
    """`step-inside-window`: the optimizer steps after every backward though accumulation was declared.

    Rule: more than 90 % of the windows have length 1 though n > 1 was declared.
    How to read it: the line is the length of each window, the dashed line the declared one.
    Requires: `accumulation_steps`, and 3 windows.
    """
    declared = story.declared
    need(declared is not None, "declared")
    single = (story.length == 1) & story.consumed
    if declared == 1 or declared is None:
        return []
    need(story.consumed.sum() >= WINDOWS, "windows")
    if single.sum() <= MOST * story.consumed.sum():
        return []
    evidence = {
        "windows": int(single.sum()),
        "windows_total": int(story.consumed.sum()),
        "declared": declared,
    }
    series = over_updates(story, "length", story.length.astype(np.float64), single, limits=(declared,))
    return [Finding("step-inside-window", Level.ERROR, (), first_update(story, single), 1, evidence, series)]


def check_duplicate_micro_batch(story: RunStory) -> list[Finding]:
    """`duplicate-micro-batch`: the micro-batches of a window are the same data again and again.

    Rule: in more than 90 % of the windows every g_k points exactly where G_{k-1} does (cosine 1 within 1e-4) and
    is as long as the others (within 1e-5), in each of at least two parameters.
    How to read it: the line is the least cosine in a window; equal data puts it on 1.
    Requires: g_k and cosines, two micro-steps a window, 3 windows.
    """
    need(story.has_shares, "shares")
    windows = story.consumed & (story.length > 1)
    need(windows.any(), "long_windows")
    need(windows.sum() >= WINDOWS, "windows")
    known = ~np.isnan(story.layers.cosine)
    need((known.sum(axis=0)[windows] >= 2).any(), "cosines")
    with np.errstate(all="ignore"):
        spread = story.layers.largest / story.layers.least - 1
    same = (story.layers.cosine >= 1 - SAME_COSINE) & (spread <= SAME_NORM)
    alike = windows & (known.sum(axis=0) >= 2) & (same | ~known).all(axis=0)
    if alike.sum() <= MOST * windows.sum():
        return []
    evidence = {
        "windows": int(alike.sum()),
        "windows_total": int(windows.sum()),
        "length": int(np.median(story.length[windows])),
    }
    least = np.min(np.where(known, story.layers.cosine, np.inf), axis=0)
    series = over_updates(
        story, "least_cosine", np.where(np.isfinite(least), least, np.nan), alike, limits=(1.0,)
    )
    return [
        Finding("duplicate-micro-batch", Level.ERROR, (), first_update(story, alike), 2, evidence, series)
    ]


def check_lr_inside_window(story: RunStory) -> list[Finding]:
    """`lr-inside-window`: the learning rate changes between the micro-steps of a window.

    Rule: it differs in 3 windows or more, and in more than 10 % of them (a scheduler that steps once an epoch may
    meet a window that spans two).
    How to read it: the line is the largest learning rate of a window over its smallest; it should be 1.
    Requires: learning rates at micro-steps.
    """
    windows = story.length > 1
    need(windows.any(), "long_windows")
    least, most = span(story, story.micro.lr)
    known = windows & ~np.isnan(least)
    need(known.any(), "lr")
    differs = known & (most - least > 1e-9 * np.maximum(np.abs(most), np.abs(least)))
    if differs.sum() < max(WINDOWS, SOME * known.sum()):
        return []
    place = int(np.argmax(differs))
    evidence = {
        "windows": int(differs.sum()),
        "windows_total": int(known.sum()),
        "lr_least": float(least[place]),
        "lr_most": float(most[place]),
    }
    with np.errstate(all="ignore"):
        series = over_updates(story, "lr_span", most / least, differs, limits=(1.0,))
    return [Finding("lr-inside-window", Level.ERROR, (), int(story.update[place]), None, evidence, series)]


def span(story: RunStory, values: Floats) -> tuple[Floats, Floats]:
    """Least and largest of a micro-step column [M] in each window [W]; NaN where none is known."""
    least, most = np.full(len(story.update), np.inf), np.full(len(story.update), -np.inf)
    known = ~np.isnan(values)
    np.minimum.at(least, story.micro.window[known], values[known])
    np.maximum.at(most, story.micro.window[known], values[known])
    return np.where(np.isinf(least), np.nan, least), np.where(np.isinf(most), np.nan, most)


def check_short_window(story: RunStory) -> list[Finding]:
    """`short-window`: a window with fewer micro-steps weighs less, because the loss is divided by the full length.

    Rule: fewer micro-steps than usual, and a loss weight Omega below 0.99, and below 0.99 of a full window's.
    How to read it: the line is Omega, what the weights of the loss add up to; it should be 1 in every window.
    Requires: the weight of the loss, and a usual length.
    """
    usual = story.usual_length
    need(usual is not None, "usual_length")
    short = story.consumed & (story.length < (usual or 0)) & ~story.skipped
    if not short.any() or short.sum() > story.consumed.sum() / 2:
        return []  # where most are short, the usual length is a wish: see `step-inside-window`
    weights = loss_weights(story).effective
    need(not np.isnan(weights[short]).all(), "loss_weight")
    full = weights[story.full]
    reference = float(np.nanmedian(full)) if (~np.isnan(full)).any() else 1.0
    light = short & (weights < 1 - WEIGHT_SLACK) & (weights < (1 - WEIGHT_SLACK) * reference)
    return _odd_length(story, light, "short-window", Level.WARNING, weights)


def check_window_overrun(story: RunStory) -> list[Finding]:
    """`window-overrun`: leftover micro-steps of one epoch run on into the first window of the next.

    Rule: a window is longer than n was declared, or than is usual where its loss weight Omega is known and above
    1.01; where Omega is known it must be above 1.01. Windows that begin with a leftover that was cleared do not count.
    How to read it: the line is the length of each window, the dashed line the usual one.
    Requires: a declared length, or a usual one and the weight of the loss.
    """
    usual = story.usual_length
    need(usual is not None, "usual_length")
    long = story.consumed & (story.length > (usual or 0)) & ~story.tails & ~story.edited
    if not long.any():
        return []
    weights = loss_weights(story).effective
    heavy = long & (np.isnan(weights) if story.declared else False)
    heavy |= long & (weights > 1 + WEIGHT_SLACK)
    if not heavy.any() and np.isnan(weights[long]).all():
        need(False, "loss_weight")
    return _odd_length(story, heavy, "window-overrun", Level.ERROR, weights)


def _odd_length(story: RunStory, windows: Flags, code: str, level: Level, weights: Floats) -> list[Finding]:
    if not windows.any():
        return []
    usual = story.usual_length or 0
    place = int(np.argmax(windows))
    evidence: dict[str, Evidence] = {
        "windows": int(windows.sum()),
        "windows_total": int(story.consumed.sum()),
        "length": int(story.length[place]),
        "usual": usual,
        "weight": float(weights[place]),
    }
    if code == "window-overrun":
        evidence["how"] = "counted" if np.isnan(weights[place]) else "weighed"
    series = over_updates(story, "length", story.length.astype(np.float64), windows, limits=(float(usual),))
    return [Finding(code, level, (), int(story.update[place]), int(story.length[place]), evidence, series)]


def check_tail_dropped(story: RunStory) -> list[Finding]:
    """`tail-dropped`: micro-steps that were left over were cleared without an update: their data taught nothing.

    Rule: a window begins with fewer micro-steps than usual, is cleared once, and has the usual length after it.
    How to read it: the line is the number of micro-steps that were thrown away before a window.
    Requires: a usual length.
    """
    usual = story.usual_length
    need(usual is not None, "usual_length")
    tails = story.tails
    if not tails.any():
        return []
    lost: Integers = np.where(tails, story.length - (usual or 0), 0)
    evidence: dict[str, Evidence] = {
        "windows": int(tails.sum()),
        "lost": int(lost.sum()),
        "usual": int(usual or 0),
        "lost_share": float(lost.sum() / story.length.sum()),
    }
    where = first_update(story, tails)
    series = over_updates(story, "lost_micro_steps", lost.astype(np.float64), tails)
    micro_step = int(lost[np.argmax(tails)])
    return [Finding("tail-dropped", Level.WARNING, (), where, micro_step, evidence, series)]
