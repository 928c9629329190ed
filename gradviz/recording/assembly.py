"""The board's rows, put together as an event holds them. Runs on the writer's thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradviz.recording.amp import Unscaling
from gradviz.recording.moments import Once, Sums
from gradviz.schema import (
    MICRO_L1,
    MICRO_NONFINITE,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    SUMS_WIDTH,
    WEIGHT_SQUARES,
)

Rows = NDArray[np.float64]


def finished(assemble: Sums, unscaling: Unscaling) -> Once:
    """What `assemble` gives, without the AMP scale where rows carry it now."""
    remove = None if unscaling.scale is None else unscaling.remover()
    return Once(assemble if remove is None else lambda: remove(assemble()))


def assembled_backward(numbers: Rows, before: Rows, unsure: list[int]) -> Rows:
    """`assembled` of a backward: `numbers` are rows of g_k, and then as many of `p.grad`."""
    count = len(numbers) // 2
    return assembled(numbers[count:], numbers[:count], before, unsure)


def assembled(
    state: Rows, shares: Rows | None = None, before: Rows | None = None, unsure: list[int] | None = None
) -> Rows:
    """Sums [slots, SUMS_WIDTH] of rows of `p.grad`; with g_k and G_{k-1} where they are given.

    No cosine follows for the `unsure` slots, where g_k is not what was added to G_{k-1}.
    """
    sums = np.zeros((len(state), SUMS_WIDTH))
    sums[:, :MICRO_L1] = state
    sums[:, MICRO_NONFINITE] = -1
    sums[:, WEIGHT_SQUARES:] = np.nan
    if shares is not None and before is not None:
        sums[:, MICRO_L1:PREVIOUS_SQUARES] = shares[:, : NONFINITE + 1]
        sums[:, PREVIOUS_SQUARES] = before[:, SQUARES]
        sums[unsure or [], PREVIOUS_SQUARES] = np.nan
    return sums
