"""Is what the optimizer consumes the sum of this window, all of it and nothing else?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Flags
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.findings import Finding, need
from gradviz.diagnostics.places import first_update, names_of, over_updates
from gradviz.schema import Level

WINDOWS = 3
WIPES = 3
EMPTY_UPDATES = 2


def check_not_reset(story: RunStory) -> list[Finding]:
    """`not-reset`: what the last update consumed is still there when the next window begins, and is consumed again.

    Rule: G_0 != 0 at the first backward after an update, in 3 windows or more whose own update consumed the layer and
    in which it was not cleared before that.
    How to read it: the line is ||G_0||; it should lie on zero.
    Requires: updates that were seen; `reset` events.
    """
    need(story.consumed.any(), "updates")
    stale = story.stale_layers & ~_orphans(story)[:, None] & ~story.cleared
    windows = np.asarray(stale.any(axis=0))
    if windows.sum() < WINDOWS:
        return []
    layers = stale.sum(axis=1) >= WINDOWS
    consumed = ~np.isnan(story.layers.consumed).all(axis=1)
    residual = np.sqrt(
        np.nansum(np.where(np.isfinite(story.layers.residual), story.layers.residual, 0) ** 2, axis=0)
    )
    evidence = {
        "windows": int(windows.sum()),
        "windows_total": int(story.consumed.sum()),
        "layers": int(layers.sum()),
        "layers_total": int(consumed.sum()),
        "residual": float(np.max(residual)),
    }
    series = over_updates(story, "residual", residual, windows)
    where = first_update(story, windows)
    return [Finding("not-reset", Level.ERROR, names_of(story, layers), where, 0, evidence, series)]


def check_not_in_optimizer(story: RunStory) -> list[Finding]:
    """`not-in-optimizer`: a trainable parameter that no optimizer owns: it is neither updated nor reset.

    Rule: a trainable, watched parameter is in no parameter group and no update ever consumed it.
    How to read it: there is nothing to plot; the names say it.
    Requires: `optimizers` in run.json.
    """
    need(story.facts.get("optimizers"), "optimizers")
    orphans = _orphans(story)
    if not orphans.any():
        return []
    names = names_of(story, orphans)
    evidence = {"layers": len(names), "layers_total": int(story.table.trainable.sum())}
    return [Finding("not-in-optimizer", Level.ERROR, names, evidence=evidence)]


def _orphans(story: RunStory) -> Flags:
    """Trainable layers [L] in no optimizer; none where run.json does not list the optimizers."""
    owners = story.facts.get("optimizers") or []
    if not owners:
        return np.zeros(len(story.table.names), dtype=np.bool_)
    owned = {layer for owner in owners for layer in owner.get("layers", ())}
    inside = np.isin(story.table.layer_id, list(owned))
    consumed = ~np.isnan(story.layers.consumed).all(axis=1)
    return np.asarray(story.table.trainable & ~inside & ~consumed)


def check_reset_inside_window(story: RunStory) -> list[Finding]:
    """`reset-inside-window`: the sum is cleared between two micro-steps, so that only the last ones count.

    Rule: gradients that the window's update should have consumed were cleared before it, 3 times or more.
    A leftover that is cleared once before a whole window is `tail-dropped` instead. Where what follows the clearing
    is a whole window, as declared or as the first one was, others' backwards came first (the turns of a GAN).
    How to read it: the line counts how often a window was cleared inside; it should be zero.
    Requires: two micro-steps in some window.
    """
    need((story.length > 1).any(), "long_windows")
    cleared = story.wiped & ~(story.tails | story.preceded)[story.edits.window]
    if cleared.sum() < WIPES:
        return []
    times = np.bincount(story.edits.window[cleared], minlength=len(story.update))
    lost = times.astype(np.float64)
    place = int(np.argmax(cleared))
    evidence = {
        "times": int(cleared.sum()),
        "windows": int((times > 0).sum()),
        "windows_total": len(story.update),
        "micro_step": int(story.edits.micro_step[place]),
    }
    return [
        Finding(
            "reset-inside-window",
            Level.ERROR,
            update=int(story.update[story.edits.window[place]]),
            micro_step=int(story.edits.micro_step[place]),
            evidence=evidence,
            series=over_updates(story, "times_cleared", lost, times > 0),
        )
    ]


def check_step_without_gradient(story: RunStory) -> list[Finding]:
    """`step-without-gradient`: the optimizer found nothing, though this window's backwards had made gradients.

    Rule: everything that an update consumed was zero or None while its layers got gradients, in 2 windows or more.
    How to read it: the line is the norm that was consumed; it lies on zero where the sum had been cleared.
    Requires: updates that were seen, and g_k.
    """
    need(story.consumed.any(), "updates")
    need(story.has_shares, "shares")
    taken = ~np.isnan(story.layers.consumed)
    made = np.where(taken, story.layers.own, 0.0).sum(axis=0)  # NaN is not finite: something was made
    empty = (
        taken.any(axis=0) & (np.nan_to_num(story.layers.consumed, posinf=1.0) == 0).all(axis=0) & (made != 0)
    )
    empty &= story.consumed
    if empty.sum() < EMPTY_UPDATES:
        return []
    evidence = {
        "windows": int(empty.sum()),
        "windows_total": int(story.consumed.sum()),
        "lost": float(np.nanmedian(np.sqrt(story.own_squares[empty]))),
    }
    series = over_updates(story, "consumed", story.consumed_norm, empty)
    where = first_update(story, empty)
    return [Finding("step-without-gradient", Level.ERROR, (), where, None, evidence, series)]
