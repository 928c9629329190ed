"""One pass over a gradient: sum |x|, sum x^2, max |x| and counts, in machine code.

Plain torch needs three norms, 6.6 reads of the memory; this loop needs one. It walks in blocks that
stay in the first-level cache, accumulates in float64 and takes the maximum on the bit patterns:
the integers of |x| are ordered as the numbers are, and NaN stands above Inf. Needs numba; without
it `gradviz.recording.statistics` does the same with torch operations.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

BLOCK = 4096  # elements: 16 KB of float32, half a first-level cache
SUM_ORDER_IS_FREE = {"reassoc", "contract", "nsz"}  # vectorise the sums; NaN and Inf keep their meaning


def _pointer_cast(element: Any) -> Any:
    @intrinsic
    def cast(_typing: Any, address: Any) -> Any:  # noqa: ARG001  numba asks for the argument's type
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.uint64), lower

    return cast


def _bit_cast(source: Any, target: Any) -> Any:
    @intrinsic
    def cast(_typing: Any, value: Any) -> Any:  # noqa: ARG001  as above
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

        return target(source), lower

    return cast


_as_float32s, _as_int32s = _pointer_cast(types.float32), _pointer_cast(types.int32)
_as_float64s, _as_int64s = _pointer_cast(types.float64), _pointer_cast(types.int64)
_float32_of, _float64_of = _bit_cast(types.int32, types.float32), _bit_cast(types.int64, types.float64)


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _sums(x: Any) -> tuple[float, float]:
    total, squares = 0.0, 0.0
    for i in range(len(x)):  # from 0: numba then knows that no index is negative, and vectorises
        value = np.float64(x[i])
        total += abs(value)
        squares += value * value
    return total, squares


@numba.njit
def _top(bits: Any, magnitude: Any, integer: Any) -> Any:
    top = integer(0)
    for i in range(len(bits)):
        m = integer(bits[i] & magnitude)  # numba widens to 64 bits unless told: a fourth of the speed
        if m > top:
            top = m
    return top


@numba.njit
def _count(bits: Any, magnitude: Any, low: Any, high: Any, integer: Any) -> Any:
    count = integer(0)
    for i in range(len(bits)):
        m = integer(bits[i] & magnitude)
        count = integer(count + integer((m >= low) & (m <= high)))
    return count


@numba.njit
def _measure(
    x: Any, bits: Any, integer: Any, magnitude: Any, infinity: Any, out: Any, row: int, count_zeros: bool
) -> Any:
    total, squares, nonfinite, zeros = 0.0, 0.0, 0, 0
    top = integer(0)
    for start in range(0, len(x), BLOCK):
        block, block_bits = x[start : start + BLOCK], bits[start : start + BLOCK]
        a, b = _sums(block)
        total += a
        squares += b
        block_top = _top(block_bits, magnitude, integer)
        if block_top > top:
            top = block_top
        if block_top >= infinity:
            nonfinite += _count(block_bits, magnitude, infinity, magnitude, integer)
        if count_zeros:
            zeros += _count(block_bits, magnitude, integer(0), integer(0), integer)
    out[row, 0] = total
    out[row, 1] = squares
    out[row, 3] = nonfinite
    if count_zeros:
        out[row, 4] = zeros
    return top


@numba.njit(cache=True, error_model="numpy")
def measure_float32(address: int, n: int, out: Any, row: int, count_zeros: bool) -> None:
    """Write L1, SQUARES, MAX, NONFINITE (and ZEROS) of `n` float32 at `address` into `out[row]`."""
    x = numba.carray(_as_float32s(numba.uint64(address)), n)
    bits = numba.carray(_as_int32s(numba.uint64(address)), n)
    magnitude, infinity = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
    out[row, 2] = _float32_of(_measure(x, bits, np.int32, magnitude, infinity, out, row, count_zeros))


@numba.njit(cache=True, error_model="numpy")
def measure_float64(address: int, n: int, out: Any, row: int, count_zeros: bool) -> None:
    """Write L1, SQUARES, MAX, NONFINITE (and ZEROS) of `n` float64 at `address` into `out[row]`."""
    x = numba.carray(_as_float64s(numba.uint64(address)), n)
    bits = numba.carray(_as_int64s(numba.uint64(address)), n)
    magnitude, infinity = np.int64(0x7FFFFFFFFFFFFFFF), np.int64(0x7FF0000000000000)
    out[row, 2] = _float64_of(_measure(x, bits, np.int64, magnitude, infinity, out, row, count_zeros))
