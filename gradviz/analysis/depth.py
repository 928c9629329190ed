"""How the gradient changes with depth: a robust slope over the weights in forward order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.robust import theil_sen
from gradviz.analysis.story import RunStory

FEWEST_WEIGHTS = 4


@dataclass(frozen=True)
class DepthTrend:
    """Of each window: `ratio` [W], first hidden weight's gradient over the last one's as the slope tells it.

    NaN where it cannot be told or was not asked for.
    rms [L', W]: root mean square of an element of g_k over micro-steps, of the hidden `weights` [L] (all matrices
    that get gradients but the last, the head). Below 1 the gradient vanishes towards the input, above it explodes.
    """

    weights: Flags
    rms: Floats
    ratio: Floats


def depth_trend(story: RunStory, windows: int) -> DepthTrend | None:
    """The trend of the first `windows` windows in which all is finite, or None: fewer than four hidden weights."""
    trains = (np.nan_to_num(story.layers.own, nan=0.0) > 0).any(axis=1)
    weights = story.table.matrix & trains
    if weights.any():
        weights[np.flatnonzero(weights)[-1]] = False
    if weights.sum() < FEWEST_WEIGHTS:
        return None
    own = story.layers.own[weights].astype(np.float64)
    rms = own / np.sqrt(story.table.numel[weights] * np.maximum(story.seen, 1)[:, None]).T
    logs = np.log10(np.where(rms > 0, rms, np.nan))
    usable = (np.isfinite(logs).sum(axis=0) > 1) & ~story.broken
    first = np.flatnonzero(usable)[:windows]
    ratio = np.full(len(usable), np.nan)
    ratio[first] = 10 ** (
        -theil_sen(logs[:, first]) * (weights.sum() - 1)
    )  # pairs of weights: a table a window
    return DepthTrend(weights, rms, ratio)
