"""Small gradients, kept until their backward is over and then measured in one call.

For them the call costs more than the reading. 1 MB is kept at most, and never longer than one backward.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.statistics import Gauge, Rows

SMALL = 4096  # elements
TOGETHER = 2**18  # elements of all of them


class SmallGradients:
    """What the backward under way has brought for small slots."""

    def __init__(self, numels: NDArray[np.int64]) -> None:
        small = numels <= SMALL
        self.are: list[bool] = (small & (np.cumsum(numels * small) <= TOGETHER)).tolist()
        """Of each slot: whether its gradient is measured with others."""
        self._slots: list[int] = []
        self._gradients: list[Tensor] = []

    def keep(self, slot: int, gradient: Tensor) -> None:
        """Until `measure` or `forget`."""
        self._slots.append(slot)
        self._gradients.append(gradient)

    def measure(self, gauge: Gauge, shares: Rows) -> None:
        """The backward is over: write their rows."""
        gauge.measure_all(self._gradients, shares, self._slots)
        self.forget()

    def forget(self) -> None:
        """Keep none of them."""
        self._slots, self._gradients = [], []
