"""One pass over a gradient that counts its elements by binary exponent, in machine code.

The exponent is read off the bits, so that subnormal numbers count for what they are even where the
processor flushes them to zero. Neighbours mostly share their exponent: eight tables, taken in turn, keep
an increment from waiting for the one before it. Needs numba; without it `gradviz.recording.exponents`
does the same with torch operations.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from gradviz.recording.kernels import bits_of_float32, pointer_cast
from gradviz.schema import (
    FIRST_EXPONENT_BIN,
    HUGE_BIN,
    LOWEST_EXPONENT,
    SMALLEST_NORMAL,
    SUBNORMAL_BIN,
    TINY_BIN,
    ZEROS_BIN,
)

TABLES = 8
BLOCK = 4096  # elements: still in the first-level cache when their zeros are counted

_as_uint16s, _as_uint32s, _as_uint64s = map(pointer_cast, (types.uint16, types.uint32, types.uint64))


@numba.njit
def _tally(bits: Any, magnitude: Any, mantissa: Any, table: Any) -> int:
    """Count `bits` by biased exponent, `(bits & magnitude) >> mantissa`, into `table`; returns how many are 0."""
    zeros, small = 0, 0
    for start in range(0, len(bits), BLOCK):
        block = bits[start : start + BLOCK]
        whole = len(block) // TABLES * TABLES
        for i in range(0, whole, TABLES):
            for lane in range(TABLES):
                table[lane, (block[i + lane] & magnitude) >> mantissa] += 1
        for i in range(whole, len(block)):
            table[0, (block[i] & magnitude) >> mantissa] += 1
        if table[:, 0].sum() > small:  # zeros and subnormal numbers: seldom none, seldom in every block
            small = table[:, 0].sum()
            zeros += _zeros(block, magnitude)
    return zeros


@numba.njit
def _zeros(block: Any, magnitude: Any) -> int:
    count = 0
    for i in range(len(block)):
        count += (block[i] & magnitude) == 0
    return count


@numba.njit
def _fold(table: Any, zeros: int, bias: int, shift: int, out: Any, row: int) -> None:
    """Write `table`, counts by biased exponent (the last: not finite), into the bins of `out[row]`."""
    out[row, :] = 0
    out[row, ZEROS_BIN], out[row, SUBNORMAL_BIN] = zeros, table[:, 0].sum() - zeros
    for slot in range(1, table.shape[1] - 1):
        exponent = slot - bias - shift
        if exponent < SMALLEST_NORMAL:
            place = SUBNORMAL_BIN
        elif exponent < LOWEST_EXPONENT:
            place = TINY_BIN
        else:
            place = min(FIRST_EXPONENT_BIN + exponent - LOWEST_EXPONENT, HUGE_BIN)
        for lane in range(TABLES):
            out[row, place] += table[lane, slot]


@numba.njit(cache=True, error_model="numpy")
def count_float32(address: int, n: int, shift: int, out: Any, row: int) -> None:
    """Count `n` float32 at `address`, each divided by 2^`shift` (>= 0), into the bins of `out[row]`."""
    table = np.zeros((TABLES, 256), dtype=np.int64)
    bits = numba.carray(_as_uint32s(numba.uint64(address)), n)
    zeros = _tally(bits, np.uint32(0x7FFFFFFF), np.uint32(23), table)
    _fold(table, zeros, 127, shift, out, row)


@numba.njit(cache=True, error_model="numpy")
def count_float64(address: int, n: int, shift: int, out: Any, row: int) -> None:
    """As `count_float32`, of float64."""
    table = np.zeros((TABLES, 2048), dtype=np.int64)
    bits = numba.carray(_as_uint64s(numba.uint64(address)), n)
    zeros = _tally(bits, np.uint64(0x7FFFFFFFFFFFFFFF), np.uint64(52), table)
    _fold(table, zeros, 1023, shift, out, row)


@numba.njit(cache=True, error_model="numpy")
def count_bfloat16(address: int, n: int, shift: int, out: Any, row: int) -> None:
    """As `count_float32`, of bfloat16: the upper half of a float32."""
    table = np.zeros((TABLES, 256), dtype=np.int64)
    bits = numba.carray(_as_uint16s(numba.uint64(address)), n)
    zeros = _tally(bits, np.uint16(0x7FFF), np.uint16(7), table)
    _fold(table, zeros, 127, shift, out, row)


@numba.njit(cache=True, error_model="numpy")
def count_float16(address: int, n: int, shift: int, out: Any, row: int) -> None:
    """As `count_float32`, of float16, whose subnormal numbers have exponents of their own: -24 to -15."""
    narrow, table = np.zeros((TABLES, 32), dtype=np.int64), np.zeros((TABLES, 256), dtype=np.int64)
    bits = numba.carray(_as_uint16s(numba.uint64(address)), n)
    zeros = _tally(bits, np.uint16(0x7FFF), np.uint16(10), narrow)
    table[:, 113:143] = narrow[:, 1:31]  # 2^-14 to 2^15, as a float32 has them
    if narrow[:, 0].sum() > zeros:
        for i in range(n):
            fraction = bits[i] & np.uint16(0x7FFF)
            if np.uint16(0) < fraction < np.uint16(0x400):
                table[0, (bits_of_float32(np.float32(fraction)) >> 23) - 24] += 1
    table[0, 0] = zeros
    _fold(table, zeros, 127, shift, out, row)
