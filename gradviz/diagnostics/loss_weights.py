"""What the weights of the loss add up to in a window, and what the sum was multiplied by before the update.

Omega = sum over micro-steps and elements of the weight of an element in the loss: 1 where the window's gradient is
that of a mean. Read from the autograd graph by the recorder; see FORMAT.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory

WEIGHT_SLACK = 0.01
TOUCHED = 1e-4  # relative change of a norm (float32) from which on the sum was changed before the update
EQUAL = 1e-3
FEWEST = 3


@dataclass(frozen=True)
class LossWeights:
    """Omega [W] as the loss has it (NaN: unknown), and `effective`: times what the sum was divided by afterwards."""

    omega: Floats
    effective: Floats


@dataclass(frozen=True)
class Consumption:
    """What became of the sum before it was consumed.

    ratio [W]: ||consumed|| / ||G_n|| of the layers that were consumed. clipped [W]: cut down to `limit` (None where
    nothing was). factor [W]: what else it was multiplied by, a division by hand; NaN where that cannot be told.
    """

    ratio: Floats
    clipped: Flags
    limit: float | None
    factor: Floats


def loss_weights(story: RunStory) -> LossWeights:
    """Omega of each window."""
    per_micro_step = story.micro.loss_weight * story.micro.loss_elements
    omega = np.where(story.seen == story.length, story.per_window(per_micro_step), np.nan)
    return LossWeights(omega, omega * consumption(story, omega).factor)


def consumption(story: RunStory, omega: Floats | None = None) -> Consumption:
    """Tell clipping (many different sums come out at one norm) from division (each sum by the same number)."""
    ratio = _ratio(story)
    known = np.isfinite(ratio) & ~story.skipped & ~story.stale
    changed = known & (np.abs(ratio - 1) > TOUCHED)
    norm = story.consumed_norm
    clipped, limit = np.zeros(len(ratio), dtype=np.bool_), None
    if changed.any():
        top = float(np.max(norm[changed]))
        at_top = changed & (ratio < 1) & (norm > top * (1 - EQUAL))
        if at_top.sum() >= FEWEST and _spread(ratio[at_top]) > EQUAL:
            clipped, limit = at_top, top
    rest = known & ~clipped
    return Consumption(ratio, clipped, limit, _factor(story, ratio, rest, omega))


def _ratio(story: RunStory) -> Floats:
    taken = ~np.isnan(story.layers.consumed)
    made = np.sqrt(np.sum(np.where(taken, story.layers.accumulated.astype(np.float64), 0.0) ** 2, axis=0))
    with np.errstate(all="ignore"):
        ratio = story.consumed_norm / made
    return np.where(np.isfinite(ratio) & (made > 0), ratio, np.nan)


def _factor(story: RunStory, ratio: Floats, rest: Flags, omega: Floats | None) -> Floats:
    """What each sum was multiplied by: one number, or one over the length, or over the loss's weight."""
    unknown = np.full(len(ratio), np.nan)
    if not rest.any():
        return unknown
    measures = [np.ones(len(ratio)), 1.0 / story.length]
    if omega is not None:
        with np.errstate(all="ignore"):
            measures.append(1.0 / omega)
    for measure in measures:
        parts = ratio[rest] / measure[rest]
        middle = float(np.median(parts))
        if 0 < middle < np.inf and np.mean(np.abs(parts / middle - 1) <= EQUAL) > 0.9:
            return middle * measure
    return unknown


def _spread(values: Floats) -> float:
    return float(values.max() / values.min() - 1)
