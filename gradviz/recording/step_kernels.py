"""The samples of `steps` in machine code: single-precision weights on the CPU, all layers in one call.

A sample is `blocks` blocks of 256 neighbouring elements, evenly spread, or the whole of a small layer
(`blocks` = 0). No room in the buffer is for a layer whose step is known otherwise: only its norm is asked.
Needs numba; without it `steps` does the same with torch operations.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from gradviz.recording.kernels import SUM_ORDER_IS_FREE, as_float32s

BLOCK = 256


@numba.njit
def _copy(x: Any, out: Any) -> None:
    for i in range(len(x)):  # from 0: numba then knows that no index is negative, and vectorises
        out[i] = x[i]


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _squares(x: Any) -> float:
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _compare(before: Any, now: Any) -> tuple[float, float]:
    weights, steps = 0.0, 0.0
    for i in range(len(before)):
        old = np.float64(before[i])
        step = np.float64(now[i]) - old
        weights += old * old
        steps += step * step
    return weights, steps


@numba.njit
def _squares_of_sample(x: Any, blocks: int) -> float:
    if blocks == 0:
        return _squares(x)  # type: ignore[no-any-return]
    stride, total = len(x) // blocks, 0.0
    for block in range(blocks):
        total += _squares(x[block * stride : block * stride + BLOCK])
    return total


@numba.njit(cache=True, error_model="numpy")
def take_samples(addresses: Any, numels: Any, blocks: Any, starts: Any, kept: Any, out: Any) -> None:
    """Copy the sample of each layer to `kept[starts[i] : starts[i + 1]]`, or where that is empty sum its w^2.

    The sum goes to `out[i, 0]`. The first four arrays are int64, `out` is float64.
    """
    for i in range(len(addresses)):
        x = numba.carray(as_float32s(numba.uint64(addresses[i])), numels[i])
        sample = kept[starts[i] : starts[i + 1]]
        if len(sample) == 0:
            out[i, 0] = _squares_of_sample(x, blocks[i])
        elif blocks[i] == 0:
            _copy(x, sample)
        else:
            stride = numels[i] // blocks[i]
            for block in range(blocks[i]):
                _copy(x[block * stride : block * stride + BLOCK], sample[block * BLOCK : (block + 1) * BLOCK])


@numba.njit(cache=True, error_model="numpy")
def compare_samples(addresses: Any, numels: Any, blocks: Any, starts: Any, before: Any, out: Any) -> None:
    """Write sum w^2 and sum (dw)^2 of each sample into `out[i]`, where `take_samples` kept it in `before`."""
    for i in range(len(addresses)):
        x = numba.carray(as_float32s(numba.uint64(addresses[i])), numels[i])
        sample = before[starts[i] : starts[i + 1]]
        if len(sample) == 0:
            continue
        if blocks[i] == 0:
            out[i, 0], out[i, 1] = _compare(sample, x)
        else:
            stride, weights, steps = numels[i] // blocks[i], 0.0, 0.0
            for block in range(blocks[i]):
                old = sample[block * BLOCK : (block + 1) * BLOCK]
                a, b = _compare(old, x[block * stride : block * stride + BLOCK])
                weights += a
                steps += b
            out[i, 0], out[i, 1] = weights, steps
