"""The loop of the toy: what its reader chooses, and the micro-batches that it is fed with.

The toy is linear regression with two weights, so that all it does can be drawn: y = x·w + noise, and the loss of
a sample (with unequal tokens: of a token) is (x·w - y)² / 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from gradviz.analysis.frames import Floats

EPOCHS = 4
WINDOWS = 5  # an epoch
LONG = 8  # tokens of a long micro-batch over those of a short one
START = np.array([-1.6, 1.4])
TRUTH = np.array([1.0, -0.4])
SHORT_TRUTH = np.array([-0.6, -1.4])  # short texts follow another rule than long ones, as they do in life
CURVATURE = np.array([1.6, 0.6])  # of the loss, along axes that are turned by a sixth of pi


class Mistake(StrEnum):
    """What the reader's loop gets wrong."""

    DIVISION = "division"  # the loss is not divided by the length of the window
    RESET = "reset"  # zero_grad is forgotten
    SHORT = "short"  # an epoch ends with half a window, which is divided by the full length
    TOKENS = "tokens"  # micro-batches of unequal numbers of tokens, each with the mean over its own


@dataclass(frozen=True)
class ToyLoop:
    """A training loop: `micro_steps` n of a window, samples in a micro-batch, noise of the labels, learning rate."""

    micro_steps: int = 4
    batch: int = 4
    noise: float = 1.0
    rate: float = 0.25
    mistakes: frozenset[Mistake] = field(default_factory=frozenset)
    seed: int = 0

    def only(self, *mistakes: Mistake) -> ToyLoop:
        """The same loop with no other mistakes than these."""
        return replace(self, mistakes=frozenset(mistakes))

    @property
    def tail(self) -> int:
        """Micro-steps of the last window of an epoch."""
        return max(self.micro_steps // 2, 1) if Mistake.SHORT in self.mistakes else self.micro_steps


@dataclass(frozen=True)
class MicroBatch:
    """T rows: `inputs` [T, 2] and `labels` [T]."""

    inputs: Floats
    labels: Floats

    def loss(self, weights: Floats) -> float:
        """The mean loss of its rows."""
        return float(np.mean((self.inputs @ weights - self.labels) ** 2) / 2)

    def gradient(self, weights: Floats) -> Floats:
        """The gradient of `loss`."""
        error = self.inputs @ weights - self.labels
        return np.asarray(self.inputs.T @ error / len(error))


Window = tuple[MicroBatch, ...]


def together(window: Window) -> MicroBatch:
    """One large batch of the same rows."""
    inputs = np.concatenate([one.inputs for one in window])
    return MicroBatch(inputs, np.concatenate([one.labels for one in window]))


def toy_windows(loop: ToyLoop) -> list[Window]:
    """All windows of a training, in order; each epoch shuffles the same micro-batches."""
    random = np.random.default_rng(loop.seed)
    count = (WINDOWS - 1) * loop.micro_steps + loop.tail
    batches = [_micro_batch(loop, is_long, random) for is_long in _long_ones(loop, count, random)]
    windows = []
    for _ in range(EPOCHS):
        order = random.permutation(count)
        for first in range(0, count, loop.micro_steps):
            windows.append(tuple(batches[place] for place in order[first : first + loop.micro_steps]))
    return windows


def _long_ones(loop: ToyLoop, count: int, random: np.random.Generator) -> list[bool]:
    """Every second micro-batch is long; without unequal tokens none is, and the data are all alike."""
    is_long = np.arange(count) % 2 == 0
    random.shuffle(is_long)
    return [bool(one) and Mistake.TOKENS in loop.mistakes for one in is_long]


def _micro_batch(loop: ToyLoop, is_long: bool, random: np.random.Generator) -> MicroBatch:
    rows = loop.batch * (LONG if is_long else 1)
    is_short = not is_long and Mistake.TOKENS in loop.mistakes
    turn = np.pi / 6
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inputs = random.normal(size=(rows, 2)) * np.sqrt(CURVATURE) @ axes.T
    noise = loop.noise * random.normal(size=rows)
    return MicroBatch(inputs, inputs @ (SHORT_TRUTH if is_short else TRUTH) + noise)
