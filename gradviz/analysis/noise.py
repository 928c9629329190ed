"""The gradient noise scale from norms alone: how many samples make signal and noise equal.

With increments g_k = a_k (G + noise of variance t / T_k), where a_k is the weight and T_k the size of micro-batch k,
P = ||sum g_k||^2 and Q = sum ||g_k||^2, at fixed weights of the model and for independent samples:

    |G|^2:            a = (P - Q) / ((sum a_k)^2 - sum a_k^2)
    trace of cov:     t = (Q - a sum a_k^2) / sum(a_k^2 / T_k)
    B_simple = t / a

both unbiased (E Q = |G|^2 sum a_k^2 + t sum a_k^2 / T_k and E P = |G|^2 (sum a_k)^2 + t sum a_k^2 / T_k; the noise
scale is that of McCandlish et al., 2018). Ratios are never averaged: the parts are, and then divided, with an interval
after Fieller (1954). Drawn without replacement from N samples, two of them have covariance -t / N: a is too
small by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory
from gradviz.analysis.story_reading import run_story
from gradviz.errors import QueryError

if TYPE_CHECKING:
    from gradviz.store import Run

Z = 1.96
FEWEST = 8  # windows
BLOCKS = 24
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Ratio:
    """B_simple = noise / signal with its 95 % interval; infinite or NaN where the windows do not tell.

    `low` may be known where `high` is infinite: the noise scale is then only bounded from below. `resolved` says that
    both ends are finite. `signal` and `noise` are the pooled a and t, `error` the standard error of the signal.
    """

    value: float
    low: float
    high: float
    signal: float
    noise: float
    error: float
    windows: int

    @property
    def resolved(self) -> bool:
        """Whether value and interval are finite."""
        return bool(np.isfinite([self.value, self.low, self.high]).all())


@dataclass(frozen=True)
class NoiseScale:
    """The noise scale of a run, in `unit`: "samples" where they are given or logged, else "elements" of the
    loss (samples, tokens, pixels), else "micro-batches".

    `total` is that of the whole model over the last half of the usable windows; `layers` the same, each layer alone.
    `blocks` are pooled over consecutive windows, `updates` [len(blocks)] is where each ends. `window` is the size of
    a usual window in that unit, `micro_batch` that of a micro-batch.
    """

    unit: str
    total: Ratio
    layers: dict[str, Ratio]
    updates: tuple[int, ...]
    blocks: tuple[Ratio, ...]
    window: float
    micro_batch: float


def noise_scale(run: Run, *, samples: float | None = None, dataset_size: int | None = None) -> NoiseScale:
    """The gradient noise scale B_simple of a recorded run, over time and by layer, from the norms alone.

    Args:
        run: a run whose windows have two micro-steps or more, of one rank (open one of several by `rank=`). Where
            ranks average their gradients, sums and increments of one rank do not belong together: nothing is resolved.
        samples: samples (or tokens) in a micro-batch; default: what was logged as `samples`; else the unit is
            what the loss counts as its elements; without either, the micro-batch.
        dataset_size: samples of the data set, if each epoch visits each of them once; corrects for that.

    Raises QueryError where a number is not positive.
    """
    if (samples is not None and not samples > 0) or (dataset_size is not None and not dataset_size > 0):
        raise QueryError(f"samples={samples!r} and dataset_size={dataset_size!r} must be above 0.")
    return noise_of(run_story(run), samples=samples, dataset_size=dataset_size)


def noise_of(story: RunStory, *, samples: float | None = None, dataset_size: int | None = None) -> NoiseScale:
    """As `noise_scale`, of a story that was read already."""
    windows = usable_windows(story)
    unit, sizes = sizes_of(story, samples)
    signal, noise = parts_of(story, windows, sizes, story.accumulated**2, story.own_squares)
    per_layer = parts_of(story, windows, sizes, *_layer_squares(story))
    if dataset_size is not None:
        signal, per_layer = (
            signal + noise / dataset_size,
            (per_layer[0] + per_layer[1] / dataset_size, per_layer[1]),
        )
    usable = np.flatnonzero(windows & np.isfinite(signal) & np.isfinite(noise))
    late = usable[len(usable) // 2 :] if len(usable) >= 2 * FEWEST else usable
    blocks = [
        block for block in np.array_split(usable, max(1, min(BLOCKS, len(usable) // FEWEST))) if len(block)
    ]
    layers = {
        name: ratio(per_layer[0][row, late], per_layer[1][row, late])
        for row, name in enumerate(story.table.names)
    }
    sums = story.per_window(sizes)[usable]
    return NoiseScale(
        unit=unit,
        total=ratio(signal[late], noise[late]),
        layers=layers,
        updates=tuple(int(story.update[block[-1]]) for block in blocks),
        blocks=tuple(ratio(signal[block], noise[block]) for block in blocks),
        window=float(np.median(sums)) if len(usable) else float("nan"),
        micro_batch=float(np.median(sizes[np.isin(story.micro.window, usable)]))
        if len(usable)
        else float("nan"),
    )


def usable_windows(story: RunStory) -> Flags:
    """Windows [W] of which P and Q are known and belong together."""
    return np.asarray(story.sound & (story.length > 1) & (story.own_squares > 0) & (story.ranks == 1))


def ratio(signal: Floats, noise: Floats) -> Ratio:
    """Pool the two parts [windows] and divide, with the interval of Fieller."""
    count = len(signal)
    if count < FEWEST or not noise.any():
        return Ratio(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, count)
    a, t = float(signal.mean()), float(noise.mean())
    (va, cov), (_, vt) = np.cov(signal, noise) / count
    low, high = _fieller(a, t, float(va), float(vt), float(cov))
    value = t / a if a > 0 else float("inf")
    return Ratio(value, low, high, a, t, float(np.sqrt(va)), count)


def _fieller(a: float, t: float, va: float, vt: float, cov: float) -> tuple[float, float]:
    """All B with (t - B a)^2 <= Z^2 (vt - 2 B cov + B^2 va), as an interval; no upper end where a may be 0."""
    square, linear, constant = a * a - Z * Z * va, a * t - Z * Z * cov, t * t - Z * Z * vt
    root = linear * linear - square * constant
    if square > 0 and a > 0:
        half = np.sqrt(max(root, 0.0))
        return max(0.0, float((linear - half) / square)), float((linear + half) / square)
    if constant <= 0 or root < 0:  # neither part is told from 0: any B will do
        return 0.0, float("inf")
    roots = (
        sorted([(linear - np.sqrt(root)) / square, (linear + np.sqrt(root)) / square])
        if square
        else [constant / (2 * linear)]
    )
    positive = [float(end) for end in roots if end > 0]
    return (min(positive) if positive else 0.0), float("inf")


def sizes_of(story: RunStory, samples: float | None) -> tuple[str, Floats]:
    """Size of each micro-step [M], and what it is counted in."""
    count = len(story.micro.window)
    given = np.full(count, np.nan if samples is None else float(samples))
    for unit, sizes in (
        ("samples", given),
        ("samples", story.micro.samples),
        ("elements", story.micro.loss_elements),
    ):
        if count and (sizes > 0).all():
            return unit, sizes
    return "micro-batches", np.ones(count)


def _layer_squares(story: RunStory) -> tuple[Floats, Floats]:
    return story.layers.accumulated.astype(np.float64) ** 2, story.layers.own.astype(np.float64) ** 2


def parts_of(story: RunStory, windows: Flags, sizes: Floats, p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """a and t of each window, [W] or [L, W]; NaN where a window does not count."""
    weights = _weights(story)
    total, squares = story.per_window(weights), story.per_window(weights**2)
    over_sizes = story.per_window(weights**2 / sizes)
    with np.errstate(all="ignore"):
        signal = (p - q) / (total**2 - squares)
        noise = (q - signal * squares) / over_sizes
    return np.where(windows, signal, np.nan), np.where(windows, noise, np.nan)


def _weights(story: RunStory) -> Floats:
    """a_k [M], of one mean in its window; equal ones where the weight of the loss is not known for all of a window."""
    weights = story.micro.loss_weight * story.micro.loss_elements
    unknown = np.isnan(story.per_window(weights))[story.micro.window]
    equal = 1.0 / story.seen[story.micro.window]
    return np.where(unknown, equal, weights)
