"""Are the numbers numbers, and fine enough to add up and to move the weights?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.places import first_update, known_median, names_of, over_layers, over_updates
from gradviz.schema import Level

ROUNDING = {"bfloat16": 1.66e-3, "float16": 2.07e-4}
ROUGH, COARSE = 0.015, 0.025
STUCK, FROZEN = 0.7, 0.9
WINDOWS = 3


def check_nonfinite(story: RunStory) -> list[Finding]:
    """`nonfinite`: NaN or Inf in a gradient.

    Rule: the first micro-step with a non-finite g (updates that a GradScaler refused do not count while the loss is
    finite). It began with the loss where the loss is not finite, else with the parameter whose hook fired first,
    the last in forward order; what follows in that window is contaminated, not guilty.
    How to read it: the line is ||G_n||; it breaks off where the first NaN stands.
    Requires: nothing.
    """
    lost = story.micro.loss
    bad = ~np.isfinite(story.micro.squares) | ~np.isfinite(np.where(np.isnan(lost), 0.0, lost))
    bad |= _loss_is_nan(story)
    refused = story.skipped[story.micro.window] & ~_loss_is_nan(story) & ~np.isinf(lost)
    windows = story.broken & ~story.skipped
    bad &= ~refused
    windows[story.micro.window[bad]] = True
    if not windows.any():
        return []
    window = int(np.argmax(windows))
    micro = np.flatnonzero(bad & (story.micro.window == window))
    place = int(micro[0]) if len(micro) else None
    from_loss = place is not None and bool(_loss_is_nan(story)[place] or np.isinf(lost[place]))
    guilty = np.flatnonzero(story.layers.broken[:, window])
    layers = (story.table.names[guilty[-1]],) if len(guilty) and not from_loss else ()
    evidence: dict[str, Evidence] = {
        "how": "loss" if from_loss else "layer" if layers else "unknown",
        "windows": int(windows.sum()),
        "windows_total": len(windows),
        "layers": len(guilty),
    }
    micro_step = None if place is None else int(story.micro.micro_step[place])
    series = over_updates(story, "accumulated", story.accumulated, windows, log=True)
    where = int(story.update[window])
    return [Finding("nonfinite", Level.ERROR, layers, where, micro_step, evidence, series)]


def _loss_is_nan(story: RunStory) -> Flags:
    """Micro-steps [M] whose loss is NaN: it is missing there, while others of the run have one, and g is not finite."""
    recorded = ~np.isnan(story.micro.loss)
    return np.asarray(~recorded & ~np.isfinite(story.micro.squares) & recorded.any())


def check_low_precision(story: RunStory) -> list[Finding]:
    """`low-precision`: in 16 bits each addition to p.grad is rounded, and what the window sums up to is off.

    Rule: E = u sqrt(sum over k >= 2 of ||G_k||^2) / ||G_n|| with u = 1.66e-3 (bf16) or 2.07e-4 (fp16), over the
    gradients that are in 16 bits; median over windows. Warning above 0.015, error above 0.025; a lower bound.
    How to read it: the line is E, the relative error of the accumulated gradient.
    Requires: gradients in 16 bits (else there is nothing to check), 3 windows.
    """
    half = story.table.half & story.table.trainable
    if not half.any():
        return []
    windows = story.sound & (story.length > 1)
    need(windows.any(), "long_windows")
    need(windows.sum() >= WINDOWS, "windows")
    unit = np.array([ROUNDING.get(dtype, 0.0) for dtype in story.table.dtype])[half]
    built, whole = (
        values[half].astype(np.float64) for values in (story.layers.built, story.layers.accumulated)
    )
    with np.errstate(all="ignore"):
        error = np.sqrt(np.sum((unit[:, None] * built) ** 2, axis=0) / np.sum(whole**2, axis=0))
    typical = float(np.nanmedian(error[windows]))
    if not typical > ROUGH:
        return []
    evidence: dict[str, Evidence] = {
        "error_share": typical,
        "length": int(np.median(story.length[windows])),
        "dtype": ", ".join(sorted(set(story.table.dtype) & set(ROUNDING))),
        "windows": int(windows.sum()),
    }
    level = Level.ERROR if typical > COARSE else Level.WARNING
    over = windows & (error > ROUGH)
    series = over_updates(
        story, "rounding_error", np.where(windows, error, np.nan), over, limits=(ROUGH, COARSE)
    )
    names = names_of(story, half)
    return [Finding("low-precision", level, names, first_update(story, over), None, evidence, series)]


def check_update_swallowed(story: RunStory) -> list[Finding]:
    """`update-swallowed`: weights in 16 bits stay where they are, for the step is smaller than their rounding.

    Rule: the share of elements with a non-zero gradient that an update left bit-identical, over all parameters in 16
    bits; median over updates with lr > 0. Warning above 0.7, error above 0.9.
    How to read it: the bars are that share, parameter by parameter.
    Requires: `unchanged` at 3 updates of parameters in 16 bits (with none there is nothing to check).
    """
    half = story.table.half & story.table.trainable
    if not half.any():
        return []
    windows = story.sound & (np.nan_to_num(story.lr, nan=1.0) > 0)
    stuck = story.layers.unchanged[half].astype(np.float64)
    share = _mean_by_size(stuck, story.table.numel[half])
    windows &= ~np.isnan(share)
    need(windows.sum() >= WINDOWS, "steps")
    typical = float(np.median(share[windows]))
    if not typical > STUCK:
        return []
    evidence: dict[str, Evidence] = {
        "stuck_share": typical,
        "windows": int(windows.sum()),
        "lr": known_median(story.lr[windows]),
        "dtype": ", ".join(sorted(set(story.table.dtype) & set(ROUNDING))),
    }
    by_layer = np.nanmedian(np.where(np.isnan(stuck[:, windows]), 0.0, stuck[:, windows]), axis=1)
    worst = half.copy()
    worst[half] = by_layer > STUCK
    level = Level.ERROR if typical > FROZEN else Level.WARNING
    series = over_layers(story, "unchanged_share", half, by_layer, limits=(STUCK, FROZEN), log=False)
    where = first_update(story, windows)
    return [Finding("update-swallowed", level, names_of(story, worst), where, None, evidence, series)]


def _mean_by_size(values: Floats, numel: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Mean over layers [L, W] weighed by their elements, unknown ones left out; NaN where all are."""
    known = ~np.isnan(values)
    size = np.where(known, numel[:, None], 0).astype(np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(np.nansum(values * size, axis=0) / size.sum(axis=0))
