"""The samples of `steps` in machine code: single-precision weights on the CPU, all layers in one call.

A sample is `blocks` blocks of 256 neighbouring elements, evenly spread, or the whole of a small layer
(`blocks` = 0). Needs numba; without it `steps` does the same with torch operations.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from gradviz.recording.kernels import _as_float32s

BLOCK = 256


@numba.njit(cache=True, error_model="numpy")
def take_samples(addresses: Any, numels: Any, blocks: Any, starts: Any, out: Any) -> None:
    """Copy the sample of each layer to `out[starts[i] : starts[i + 1]]`. All arrays but `out` are int64."""
    for i in range(len(addresses)):
        x = numba.carray(_as_float32s(numba.uint64(addresses[i])), numels[i])
        at = starts[i]
        if blocks[i] == 0:
            for j in range(numels[i]):
                out[at + j] = x[j]
        else:
            stride = numels[i] // blocks[i]
            for block in range(blocks[i]):
                for j in range(BLOCK):
                    out[at + block * BLOCK + j] = x[block * stride + j]


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def compare_samples(addresses: Any, numels: Any, blocks: Any, starts: Any, before: Any, out: Any) -> None:
    """Write sum w^2 and sum (dw)^2 of each layer's sample into `out[i]`; `before` is what `take_samples` gave."""
    for i in range(len(addresses)):
        x = numba.carray(_as_float32s(numba.uint64(addresses[i])), numels[i])
        at = starts[i]
        length = numels[i] if blocks[i] == 0 else BLOCK
        stride = 0 if blocks[i] == 0 else numels[i] // blocks[i]
        weights, steps = 0.0, 0.0
        for block in range(max(blocks[i], 1)):
            for j in range(length):
                old = np.float64(before[at + block * BLOCK + j])
                step = np.float64(x[block * stride + j]) - old
                weights += old * old
                steps += step * step
        out[i, 0], out[i, 1] = weights, steps
