"""How many elements of a gradient have which binary exponent: the bins of `schema.BIN_NAMES`.

Contiguous float32, float64, bfloat16 and float16 on the CPU take one pass in machine code
(`exponent_kernels`, if numba is there); complex, strided and sparse gradients go through a small float64
scratch buffer, piece by piece. `count_on_device` does the same in torch operations that nothing waits for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.guard import warn
from gradviz.recording.pieces import address, is_dense, magnitudes, pieces, values_of
from gradviz.schema import BINS, HIGHEST_EXPONENT, LOWEST_EXPONENT, ZEROS_BIN

Counts = NDArray[np.int64]
Kernel = Callable[[int, int, int, Counts, int], None]
Kernels = dict[torch.dtype, Kernel]

NO_GRADIENT = -1  # stands in the bin of zeros of a layer whose gradient is None
PIECE = 2**20  # elements counted at once in torch operations: 12 MB of scratch
LANES = 1024  # tables, one for each neighbour: so that few increments meet at one address
BIAS, SLOTS, NOT_FINITE = 127, 256, 255  # biased exponents of float32


def load_exponent_kernels() -> Kernels:
    """The compiled kernels by dtype, warm; none where numba is absent or cannot compile here (that is said)."""
    try:
        return _compiled()
    except ImportError:
        return {}
    except Exception as error:  # as in `statistics.load_kernels`
        warn(f"numba could not compile the counting of exponents ({error}). Recording goes on, slower.")
        return {}


def _compiled() -> Kernels:
    from gradviz.recording.exponent_kernels import count_bfloat16, count_float16, count_float32, count_float64

    kernels: Kernels = {
        torch.float32: count_float32,
        torch.float64: count_float64,
        torch.bfloat16: count_bfloat16,
        torch.float16: count_float16,
    }
    out, one = np.zeros((1, BINS), dtype=np.int64), np.zeros(1)
    for kernel in kernels.values():
        kernel(one.ctypes.data, 1, 0, out, 0)  # compiled here, not in the loop
    return kernels


class ExponentGauge:
    """Counts CPU gradients; without kernels by torch operations alone (the tests compare the two)."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def count(self, x: Tensor, out: Counts, row: int, scale: float = 1.0) -> None:
        """Write the counts of |x| / `scale` into `out[row]` [BINS]; what is not finite is in no bin.

        An AMP scale is a power of two: dividing by it moves the bins and touches no number.
        """
        kernel, shift = self._kernels.get(x.dtype), _shift(scale)
        if kernel is not None and shift is not None and x.layout is torch.strided and is_dense(x):
            kernel(address(x), x.numel(), shift, out, row)
        elif (wide := self._kernels.get(torch.float64)) is not None:
            self._count_in_pieces(wide, x, out, row, scale)
        else:
            out[row] = count_on_device(x, scale).numpy()

    def _count_in_pieces(self, kernel: Kernel, x: Tensor, out: Counts, row: int, scale: float) -> None:
        part, total = np.zeros((1, BINS), dtype=np.int64), np.zeros(BINS, dtype=np.int64)
        values = values_of(x.detach())
        for piece in pieces(values):
            scratch = magnitudes(piece) / scale
            kernel(address(scratch), scratch.numel(), 0, part, 0)
            total += part[0]
        total[ZEROS_BIN] += x.numel() - values.numel()  # a sparse gradient is zero where it stores nothing
        out[row] = total


def _shift(scale: float) -> int | None:
    """log2 of a power of two from 1 on; None for any other scale. (A smaller one could lift subnormal numbers.)"""
    fraction, exponent = math.frexp(scale)
    return exponent - 1 if fraction == 0.5 and exponent >= 1 else None


def count_on_device(x: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    """The counts of |x| / `scale` as an int64 tensor [BINS] on its device, by torch operations alone.

    Nothing here waits for the device, `scale` may be a tensor on it, and no gradient is ever copied whole.
    """
    values = values_of(x.detach())
    absent = x.numel() - values.numel()
    table = torch.zeros((SLOTS, min(LANES, max(values.numel(), 1))), dtype=torch.int64, device=x.device)
    zeros = torch.zeros((), dtype=torch.int64, device=x.device)
    for piece in pieces(values, PIECE):
        zeros += piece.numel() - torch.count_nonzero(piece)
        _add_to(table, _slots(_unscaled(piece, scale)).reshape(-1))
    slots = table.sum(1)
    lowest, end = BIAS + LOWEST_EXPONENT, BIAS + HIGHEST_EXPONENT + 1
    small = [zeros + absent, slots[0] - zeros, slots[1:lowest].sum()]
    return torch.cat([torch.stack(small), slots[lowest:end], slots[end:NOT_FINITE].sum().view(1)])


def _unscaled(piece: Tensor, scale: float | Tensor) -> Tensor:
    """|piece| / `scale` but for its sign, as float32 or float64."""
    if isinstance(scale, Tensor) or scale != 1.0:
        return magnitudes(piece) / scale
    if piece.is_complex():
        return magnitudes(piece)
    return (piece if piece.dtype is torch.float64 else piece.float()).resolve_neg()


def _slots(x: Tensor) -> Tensor:
    """Biased exponents as float32 has them: 0 below its normal numbers, 255 where x is not finite."""
    if x.dtype is torch.float32:
        return (x.view(torch.int32) >> 23) & NOT_FINITE
    biased = (x.view(torch.int64) >> 52) & 2047
    return (biased - (1023 - BIAS)).clamp(0, NOT_FINITE - 1).masked_fill(biased == 2047, NOT_FINITE)


def _add_to(table: Tensor, slots: Tensor) -> None:
    """Count `slots` in `table` [SLOTS, lanes]: every element in the lane that follows its neighbour's."""
    lanes = table.shape[1]
    whole = len(slots) // lanes * lanes
    one = torch.ones((), dtype=torch.int64, device=table.device)
    for part in (slots[:whole].view(-1, lanes), slots[whole:].view(1, -1)):
        table.scatter_add_(0, part.long(), one.expand(part.shape))
