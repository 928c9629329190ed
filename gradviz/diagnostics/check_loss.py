"""Does the window's gradient belong to a mean, and does every element weigh the same in it?"""

from __future__ import annotations

import numpy as np

from gradviz.analysis.frames import Floats
from gradviz.analysis.story import RunStory
from gradviz.diagnostics.check_windows import span
from gradviz.diagnostics.findings import Evidence, Finding, need
from gradviz.diagnostics.loss_weights import WEIGHT_SLACK, Consumption, consumption, loss_weights
from gradviz.diagnostics.places import first_update, over_updates
from gradviz.schema import Level

WINDOWS = 3
SPREAD, SOME = 1.25, 0.2


def check_loss_not_divided(story: RunStory) -> list[Finding]:
    """`loss-not-divided`: the window's gradient is that of a sum over micro-batches and not of their mean.

    Rule: the median over full windows of Omega, times what the sum was divided by before the update, is above 1.01.
    Information under SGD, AdamW or Adam without weight decay, constant n and no clipping, where it only scales the
    learning rate (n = 8: SGD exactly 8 times, Adam 0.15 % different); else a warning (Adam with coupled weight decay
    59 %; clipping at 1.0 under AdamW: clipped updates go from 28 % to 100 %).
    How to read it: the line is Omega; it should lie on 1.
    Requires: the weight of the loss, and a window that was not clipped.
    """
    windows = story.full & ~story.skipped & ~story.cleared & (story.length > 1)
    need(windows.any(), "long_windows")
    need(windows.sum() >= WINDOWS, "windows")
    weights = loss_weights(story)
    known = windows & ~np.isnan(weights.omega)
    need(known.sum() > windows.sum() / 2, "loss_weight")
    if np.median(weights.omega[known]) <= 1 + WEIGHT_SLACK:
        return []
    told = consumption(story, weights.omega)
    effective = weights.effective
    need((~np.isnan(effective[known])).any(), "unclipped_windows")
    omega = float(np.nanmedian(effective[known]))
    if omega <= 1 + WEIGHT_SLACK:
        return []
    evidence: dict[str, Evidence] = {
        "weight": omega,
        "length": int(np.median(story.length[known])),
        "windows": int(known.sum()),
        "clipped_share": float(told.clipped[windows].mean()),
        "optimizer": _optimizer(story),
    }
    level = Level.INFO if _harmless(story, told) else Level.WARNING
    series = over_updates(story, "omega", effective, known, limits=(1.0,))
    return [Finding("loss-not-divided", level, (), first_update(story, known), None, evidence, series)]


def _optimizer(story: RunStory) -> str:
    owners = story.facts.get("optimizers") or []
    return ", ".join(dict.fromkeys(str(owner.get("class", "?")) for owner in owners)) or "?"


def _harmless(story: RunStory, told: Consumption) -> bool:
    """Whether the missing division only scales the learning rate."""
    if told.clipped.any() or len(np.unique(story.length[story.consumed])) > 1:
        return False
    return all(_only_scales(owner) for owner in story.facts.get("optimizers") or [])


def _only_scales(owner: dict[str, object]) -> bool:
    settings = owner.get("settings")
    decay = settings.get("weight_decay", 0) if isinstance(settings, dict) else 0
    return owner.get("class") in ("SGD", "AdamW") or (owner.get("class") == "Adam" and not decay)


def check_unequal_tokens(story: RunStory) -> list[Finding]:
    """`unequal-tokens`: elements of short micro-batches weigh more than those of long ones.

    Rule: within a window the largest weight of an element is more than 1.25 times the smallest, in more than 20 % of
    the full windows. The loss is then off by -Cov(T, l) / mean T.
    How to read it: the line is the largest weight over the smallest; it should be 1.
    Requires: the weight of the loss, 3 windows with two micro-steps or more.
    """
    windows = story.full & ~story.skipped & (story.length > 1)
    need(windows.any(), "long_windows")
    need(windows.sum() >= WINDOWS, "windows")
    ratio = _spread(story)
    known = windows & ~np.isnan(ratio)
    need(known.sum() > windows.sum() / 2, "loss_weight")
    unequal = known & (ratio > SPREAD)
    if unequal.sum() <= SOME * known.sum():
        return []
    elements = story.micro.loss_elements[unequal[story.micro.window]]
    evidence: dict[str, Evidence] = {
        "windows": int(unequal.sum()),
        "windows_total": int(known.sum()),
        "spread": float(np.median(ratio[unequal])),
        "elements_least": int(np.nanmin(elements)),
        "elements_most": int(np.nanmax(elements)),
    }
    series = over_updates(story, "weight_spread", ratio, unequal, limits=(SPREAD,))
    return [
        Finding("unequal-tokens", Level.WARNING, (), first_update(story, unequal), None, evidence, series)
    ]


def _spread(story: RunStory) -> Floats:
    """Largest over smallest weight of an element in each window [W]; NaN where one is unknown."""
    weights = np.where(
        story.micro.loss_elements > 0, story.micro.loss_weight, np.nan
    )  # an empty one weighs nothing
    least, most = span(story, weights)
    unknown = np.isnan(story.micro.loss_weight)
    gaps = np.bincount(story.micro.window, weights=unknown, minlength=len(story.update)) > 0
    with np.errstate(all="ignore"):
        return np.where(gaps | ~(least > 0), np.nan, most / least)
