"""Which gradients are kept until their backward is over, and then measured in one call.

For them the call costs more than the reading. 1 MB is kept at most, and never longer than one backward.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALL = 8192  # elements
TOGETHER = 2**18  # elements of all of them


def small_ones(numels: NDArray[np.int64]) -> list[bool]:
    """Of each slot: whether its gradient is measured with others. More slots behind it change nothing."""
    small = numels <= SMALL
    found: list[bool] = (small & (np.cumsum(numels * small) <= TOGETHER)).tolist()
    return found
