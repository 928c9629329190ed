"""One pass over a gradient: sum |x|, sum x^2, max |x| and counts, in machine code.

Plain torch needs three norms, 6.6 reads of the memory; this loop needs one. It walks in small blocks
and carries their sums in float64; the maximum is taken on the bit patterns, for the integers of |x| are
ordered as the numbers are, with NaN above Inf. A block whose squares could leave the range of float32
(so also one with a NaN) is summed in float64. Needs numba; without
it `gradviz.recording.statistics` does the same with torch operations.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

BLOCK = 512  # elements: few enough that float32 sums of one block stay within 1e-6, whatever they hold
SUM_ORDER_IS_FREE = {"reassoc", "contract", "nsz"}  # vectorise the sums; NaN and Inf keep their meaning
# max |x| of a block for which float32 squares neither overflow nor vanish in its sum, as bit patterns
SAFE_FROM, SAFE_TO = (int(bits) for bits in np.array([1e-13, 1e17], dtype=np.float32).view(np.int32))


def pointer_cast(element: Any) -> Any:
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


as_float32s, _as_int32s = pointer_cast(types.float32), pointer_cast(types.int32)
_as_float64s, _as_int64s = pointer_cast(types.float64), pointer_cast(types.int64)
_float32_of, _float64_of = _bit_cast(types.int32, types.float32), _bit_cast(types.int64, types.float64)
bits_of_float32 = _bit_cast(types.float32, types.int32)


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _wide_sums(x: Any) -> tuple[float, float]:
    total, squares = 0.0, 0.0
    for i in range(len(x)):  # from 0: numba then knows that no index is negative, and vectorises
        value = np.float64(x[i])
        total += abs(value)
        squares += value * value
    return total, squares


@numba.njit
def _is_safe(top: Any) -> bool:
    return top == 0 or SAFE_FROM <= top <= SAFE_TO  # type: ignore[no-any-return]


def _block_float32(x: Any, bits: Any) -> tuple[float, float, Any]:
    """Sum |x|, sum x^2 and the bits of max |x|, in lanes of one width: twice as fast as in float64."""
    total, squares, top = np.float32(0), np.float32(0), np.int32(0)
    for i in range(len(x)):
        value = x[i]
        total += abs(value)
        squares += value * value
        m = np.int32(bits[i] & np.int32(0x7FFFFFFF))  # numba widens to 64 bits unless told
        if m > top:
            top = m
    if _is_safe(top):
        return np.float64(total), np.float64(squares), top
    wide, wide_squares = _wide_sums(x)
    return wide, wide_squares, top


def _block_float64(x: Any, bits: Any) -> tuple[float, float, Any]:
    top = np.int64(0)
    for i in range(len(bits)):
        m = bits[i] & np.int64(0x7FFFFFFFFFFFFFFF)
        if m > top:
            top = m
    total, squares = _wide_sums(x)
    return total, squares, top


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _zeros(x: Any) -> float:
    count = np.float32(0)  # exact in a block, and as wide a lane as the numbers it counts
    for i in range(len(x)):
        count += np.float32(1) if x[i] == 0 else np.float32(0)
    return np.float64(count)


@numba.njit
def _nonfinite(x: Any) -> int:
    count = 0
    for i in range(len(x)):
        count += 0 if np.isfinite(x[i]) else 1
    return count


def _block(x: Any, bits: Any) -> tuple[float, float, Any]:
    """`_block_float32` or `_block_float64`; chosen by type, for a function passed in could not be cached."""
    raise NotImplementedError


@overload(_block, jit_options={"fastmath": SUM_ORDER_IS_FREE})
def _choose_block(x: Any, bits: Any) -> Any:  # noqa: ARG001  numba goes by the names
    return _block_float32 if x.dtype == types.float32 else _block_float64


@numba.njit
def _measure(x: Any, bits: Any, infinity: int, out: Any, row: int, count_zeros: bool) -> int:
    total, squares, top, nonfinite, zeros = 0.0, 0.0, 0, 0, 0.0
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        a, b, block_top = _block(block, bits[start : start + BLOCK])
        total += a
        squares += b
        if block_top > top:
            top = int(block_top)
        if block_top >= infinity:
            nonfinite += _nonfinite(block)
        if count_zeros:
            zeros += _zeros(block)
    out[row, 0] = total
    out[row, 1] = squares
    out[row, 3] = nonfinite
    if count_zeros:
        out[row, 4] = zeros
    return top


@numba.njit(fastmath=SUM_ORDER_IS_FREE)
def _block_pair(x: Any, y: Any) -> tuple[float, float, Any, float, float, Any]:
    """What `_block_float32` gives, of x and of x + y; x + y is rounded as torch rounds it when it adds."""
    total, squares, top = np.float32(0), np.float32(0), np.int32(0)
    sum_total, sum_squares, sum_top = np.float32(0), np.float32(0), np.int32(0)
    for i in range(len(x)):
        value, both = x[i], x[i] + y[i]
        total += abs(value)
        squares += value * value
        top = max(top, np.int32(bits_of_float32(value) & np.int32(0x7FFFFFFF)))
        sum_total += abs(both)
        sum_squares += both * both
        sum_top = max(sum_top, np.int32(bits_of_float32(both) & np.int32(0x7FFFFFFF)))
    return (
        np.float64(total),
        np.float64(squares),
        top,
        np.float64(sum_total),
        np.float64(sum_squares),
        sum_top,
    )


@numba.njit(cache=True, error_model="numpy")
def measure_pair_float32(address: int, other: int, n: int, out: Any, sum_out: Any, row: int) -> None:
    """L1, SQUARES, MAX, NONFINITE of `n` float32 at `address` into `out[row]`, and of their sum with those at `other`.

    g_k and G_k = g_k + G_{k-1} in one pass, just before torch reads both to add them.
    """
    x = numba.carray(as_float32s(numba.uint64(address)), n)
    y = numba.carray(as_float32s(numba.uint64(other)), n)
    total, squares, top, nonfinite = 0.0, 0.0, 0, 0
    sum_total, sum_squares, sum_top, sum_nonfinite = 0.0, 0.0, 0, 0
    for start in range(0, n, BLOCK):
        block, block_y = x[start : start + BLOCK], y[start : start + BLOCK]
        a, b, block_top, c, d, block_sum_top = _block_pair(block, block_y)
        if not _is_safe(block_top):
            a, b = _wide_sums(block)
            nonfinite += _nonfinite(block)
        if not _is_safe(block_sum_top):
            both = block + block_y
            c, d = _wide_sums(both)
            sum_nonfinite += _nonfinite(both)
        total, squares, top = total + a, squares + b, max(top, int(block_top))
        sum_total, sum_squares, sum_top = sum_total + c, sum_squares + d, max(sum_top, int(block_sum_top))
    out[row, 0], out[row, 1], out[row, 3] = total, squares, nonfinite
    sum_out[row, 0], sum_out[row, 1], sum_out[row, 3] = sum_total, sum_squares, sum_nonfinite
    out[row, 2], sum_out[row, 2] = _float32_of(np.int32(top)), _float32_of(np.int32(sum_top))


@numba.njit(cache=True, error_model="numpy")
def measure_float32(address: int, n: int, out: Any, row: int, count_zeros: bool) -> None:
    """Write L1, SQUARES, MAX, NONFINITE (and ZEROS) of `n` float32 at `address` into `out[row]`."""
    x = numba.carray(as_float32s(numba.uint64(address)), n)
    bits = numba.carray(_as_int32s(numba.uint64(address)), n)
    top = _measure(x, bits, 0x7F800000, out, row, count_zeros)
    out[row, 2] = _float32_of(np.int32(top))


@numba.njit(cache=True, error_model="numpy")
def measure_float64(address: int, n: int, out: Any, row: int, count_zeros: bool) -> None:
    """Write L1, SQUARES, MAX, NONFINITE (and ZEROS) of `n` float64 at `address` into `out[row]`."""
    x = numba.carray(_as_float64s(numba.uint64(address)), n)
    bits = numba.carray(_as_int64s(numba.uint64(address)), n)
    top = _measure(x, bits, 0x7FF0000000000000, out, row, count_zeros)
    out[row, 2] = _float64_of(top)


@numba.njit(cache=True, error_model="numpy")
def measure_all_float32(table: Any, out: Any, count_zeros: bool) -> None:
    """`measure_float32` of many: `table` is address, number of elements and row of `out`, one after the other."""
    for place in range(0, len(table), 3):
        measure_float32(table[place], table[place + 1], out, table[place + 2], count_zeros)
