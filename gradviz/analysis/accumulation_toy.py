"""A training so small that it runs while one looks: gradient accumulation with the reader's mistakes in it.

Everything is computed, nothing is drawn for effect: real data, real gradients, float64. Beside the reader's loop
runs the one that it ought to equal: one large batch of the same rows, one update a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers
from gradviz.analysis.toy_loop import (
    START,
    WINDOWS,
    MicroBatch,
    Mistake,
    ToyLoop,
    Window,
    together,
    toy_windows,
)
from gradviz.analysis.toy_rows import ToyRows
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AccumulationToy:
    """One training of W updates.

    `weights` and `reference` [W + 1, 2] are the weights before each update and at the end, of the loop and of one
    large batch a window. `consumed` [W, 2] is the gradient of each update, `wanted` [W, 2] that of the large batch
    of the same window at the same weights: they are equal where the loop is right. `length` [W] are the micro-steps.
    `everything` holds the rows of an epoch, `aim` [2] the weights that have the least loss as the loop weighs it;
    `gradients` and `events` are what a recorder would have written.
    """

    loop: ToyLoop
    weights: Floats
    reference: Floats
    consumed: Floats
    wanted: Floats
    length: Integers
    everything: MicroBatch
    aim: Floats
    gradients: pd.DataFrame
    events: pd.DataFrame

    @property
    def minimum(self) -> Floats:
        """The weights with the least loss over all rows."""
        return _least(self.everything, np.ones(len(self.everything.labels)))

    @property
    def end_of_epoch(self) -> int:
        """The last update of the first epoch: the short one where there are short ones."""
        return WINDOWS - 1

    @property
    def gap(self) -> float:
        """The largest difference of a weight between the loop and the large batch."""
        return float(np.abs(self.weights - self.reference).max())

    @property
    def sizes(self) -> Floats:
        """Of each update, the norm of what was consumed over that of the large batch's gradient."""
        norms = np.linalg.norm(self.consumed, axis=1), np.linalg.norm(self.wanted, axis=1)
        return np.asarray(norms[0] / norms[1])

    def noise_scale(self, weights: Floats) -> float:
        """Samples at which signal and noise are equal at `weights`: trace of the covariance over |gradient|².

        Source: McCandlish et al. (2018), "An empirical model of large-batch training", B_simple.
        """
        error = self.everything.inputs @ weights - self.everything.labels
        each = self.everything.inputs * error[:, None]
        return float(each.var(axis=0).sum() / (each.mean(axis=0) ** 2).sum())


def accumulation_toy(loop: ToyLoop) -> AccumulationToy:
    """Train with `loop`, and beside it with one large batch a window."""
    windows = toy_windows(loop)
    rows = ToyRows(loop.rate)
    weights, consumed = _train(loop, windows, rows)
    large = [together(window) for window in windows]
    epoch = windows[:WINDOWS]
    everything = together(tuple(batch for window in epoch for batch in window))
    return AccumulationToy(
        loop=loop,
        weights=weights,
        reference=_descend(loop.rate, large),
        consumed=consumed,
        wanted=np.array([one.gradient(at) for one, at in zip(large, weights, strict=False)]),
        length=np.array([len(window) for window in windows], dtype=np.int64),
        everything=everything,
        aim=_least(everything, _row_weights(loop, epoch)),
        gradients=rows.gradients(),
        events=rows.events(),
    )


def _train(loop: ToyLoop, windows: list[Window], rows: ToyRows) -> tuple[Floats, Floats]:
    """The loop itself, in the order in which a user would write it."""
    weights = START
    gradient: Floats | None = None
    path, consumed = [weights], []
    for update, window in enumerate(windows):
        rows.note(update, 0, Phase.RESET, gradient)
        total = np.zeros(2) if gradient is None else gradient
        for micro_step, batch in enumerate(window, start=1):
            divisor = _divisor(loop, len(window))
            own = batch.gradient(weights) / divisor
            total = total + own
            loss = batch.loss(weights) / divisor
            rows.note(update, micro_step, Phase.MICRO_STEP, total, micro=own, loss=loss)
        rows.note(update, len(window), Phase.UPDATE, total)
        weights = weights - loop.rate * total
        consumed.append(total)
        path.append(weights)
        gradient = total if Mistake.RESET in loop.mistakes else None
    rows.note(len(windows), 0, Phase.RESET, gradient)
    return np.array(path), np.array(consumed)


def _divisor(loop: ToyLoop, length: int) -> int:
    if Mistake.DIVISION in loop.mistakes:
        return 1
    return loop.micro_steps if Mistake.SHORT in loop.mistakes else length


def _descend(rate: float, batches: list[MicroBatch]) -> Floats:
    path = [START]
    for batch in batches:
        path.append(path[-1] - rate * batch.gradient(path[-1]))
    return np.array(path)


def _row_weights(loop: ToyLoop, epoch: list[Window]) -> Floats:
    """What each row of an epoch weighs in the sum of the loop's losses."""
    return np.concatenate(
        [
            np.full(len(batch.labels), 1 / len(batch.labels) / _divisor(loop, len(window)))
            for window in epoch
            for batch in window
        ]
    )


def _least(rows: MicroBatch, weight: Floats) -> Floats:
    """The weights with the least weighted loss (normal equations)."""
    inputs = rows.inputs * weight[:, None]
    return np.asarray(np.linalg.solve(inputs.T @ rows.inputs, inputs.T @ rows.labels))
