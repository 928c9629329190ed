"""Which micro-batch made an update? Its share of the direction that the window took, from norms and cosines alone.

The share of g_k is <g_k, G_n> / ||G_n||^2: the shares of a window add up to 1, whatever the order of its micro-batches.
Recorded are ||g_k||, ||G_k|| and the cosine of g_k with G_(k-1), hence each inner product

    <g_k, G_(k-1)> = sum over j < k of <g_k, g_j>,

whose parts are not known apart. They are taken to be proportional to ||g_j||: exact where g_k stands at the same angle
to each micro-gradient before it, and always for the last micro-step of a window, and for windows of two.
Layers add up. What was left over before the first micro-step counts as one more micro-gradient, number 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import NO_GRADIENT, Floats, Integers, counts, floats, integers, phases
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

AGREES = 0.02  # of ||G_n||^2: further off, something else than these micro-gradients made the sum


def window_shares(rows: pd.DataFrame) -> Floats:
    """Shares of the leftover and of micro-steps 1 .. n [1 + n]; all NaN where they are not known.

    Args:
        rows: of `Run.gradients()`, one window, any number of layers.

    Not known are windows that lack a micro-step, that were changed between two of them or are not finite, and
    gradients of which no cosine was recorded.
    """
    phase, k = phases(rows), integers(rows, "micro_step")
    micro = phase == Phase.MICRO_STEP
    micro_steps = int(k[micro].max(initial=0))
    unknown = np.full(micro_steps + 1, np.nan)
    changed = bool(((phase == Phase.EDIT) & (k < micro_steps)).any())
    steps = micro | (phase == Phase.RESET)
    broken = (counts(rows, "nonfinite") > 0) | (counts(rows, "micro_nonfinite") > 0)
    again = len(np.unique(integers(rows, "event")[steps])) > len(np.unique(k[steps]))
    if changed or again or not micro.any() or broken[steps].any():
        return unknown
    place = _places(rows)
    sums, own, cosine = (
        _grid(rows, steps, place, micro_steps, values)
        for values in (_known(rows, "l2", "nonfinite"), _known(rows, "micro_l2", "micro_nonfinite"),
                       floats(rows, "cosine"))
    )  # fmt: skip
    if np.isnan(own[:, 1:]).any() or np.isnan(sums[:, 1:]).any():
        return unknown
    own[:, 0] = sums[:, 0] = np.nan_to_num(sums[:, 0])  # no reset row: the window began the run
    inner = _inner(own, sums, cosine)
    shares = _divided(own, inner).sum(axis=0)
    whole = float((sums[:, -1] ** 2).sum())
    if not whole > 0 or not np.isclose(shares.sum(), whole, rtol=AGREES):  # NaN: a cosine is not known
        return unknown
    return np.asarray(shares / shares.sum())


def _places(rows: pd.DataFrame) -> Integers:
    """Each row's layer, as a number from 0 on."""
    return np.unique(rows["layer"].cat.codes.to_numpy(), return_inverse=True)[1].astype(np.int64)


def _known(rows: pd.DataFrame, name: str, count: str) -> Floats:
    """A column of norms, 0 where there was no gradient."""
    return np.where(counts(rows, count) == NO_GRADIENT, 0.0, floats(rows, name))


def _grid(rows: pd.DataFrame, steps: np.ndarray[tuple[int], np.dtype[np.bool_]], place: Integers,
          micro_steps: int, values: Floats) -> Floats:  # fmt: skip
    """`values` as [layers, 1 + micro_steps], NaN where there is no row."""
    grid = np.full((int(place.max()) + 1, micro_steps + 1), np.nan)
    grid[place[steps], integers(rows, "micro_step")[steps]] = values[steps]
    return grid


def _inner(own: Floats, sums: Floats, cosine: Floats) -> Floats:
    """<g_k, G_(k-1)> [layers, 1 + n]; 0 for k = 0 and where one of the two is zero."""
    before = np.concatenate([np.zeros((len(sums), 1)), sums[:, :-1]], axis=1)
    lengths = own * before
    return np.where(lengths > 0, lengths * cosine, 0.0)


def _divided(own: Floats, inner: Floats) -> Floats:
    """<g_k, G_n> [layers, 1 + n]: each inner product belongs half to g_k and half to those before it."""
    before = np.cumsum(own, axis=1) - own
    with np.errstate(all="ignore"):
        per_length = np.where(before > 0, inner / before, 0.0)
    after = np.cumsum(per_length[:, ::-1], axis=1)[:, ::-1] - per_length
    return np.asarray(own**2 + inner + own * after)
