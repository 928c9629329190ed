"""What one look at a gradient yields: sum |x|, sum x^2, max |x|, how many non-finite, how many zeros.

`measure` writes them in float64 into a row of an array. Contiguous float32 and float64 on the CPU take
one pass in machine code (`kernels`, if numba is there); everything else, half precision, complex,
strided, sparse, goes through a small float64 scratch buffer, piece by piece, so that no gradient is ever
copied whole. `measure_on_device` does the same in torch operations that nothing waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.guard import warn
from gradviz.recording.pieces import address, is_dense, magnitudes, pieces, values_of
from gradviz.schema import MAX, ZEROS

ROW = 1024  # elements summed in single precision, on a device
WIDTH = 5
Rows = NDArray[np.float64]
Kernel = Callable[[int, int, Rows, int, bool], None]
PairKernel = Callable[[int, int, int, Rows, Rows, int], None]
ManyKernel = Callable[[NDArray[np.int64], Rows, bool], None]


class Kernels(NamedTuple):
    """The compiled one-pass kernels: of one gradient by dtype, of g_k and G_k at once, and of many in one call.

    The last two are of float32.
    """

    single: dict[torch.dtype, Kernel]
    pair: PairKernel | None
    many: ManyKernel | None


PLAIN = Kernels({}, None, None)
"""No kernels: everything by torch operations."""


def load_kernels() -> Kernels:
    """The compiled kernels, warm; `PLAIN` where numba is absent or cannot compile here (that is said)."""
    try:
        return _compiled()
    except ImportError:
        return PLAIN
    except Exception as error:  # no folder to cache in, an unknown processor: slower, and no reason to fail
        warn(
            f"numba could not compile the recorder's kernels ({error}). Recording goes on without them, slower."
        )
        return PLAIN


def _compiled() -> Kernels:
    from gradviz.recording.kernels import (
        measure_all_float32,
        measure_float32,
        measure_float64,
        measure_pair_float32,
    )

    single: dict[torch.dtype, Kernel] = {torch.float32: measure_float32, torch.float64: measure_float64}
    out, one = np.zeros((1, WIDTH)), np.zeros(1)  # not of torch: under a FakeTensorMode they have no memory
    for kernel in single.values():
        kernel(one.ctypes.data, 1, out, 0, True)  # compiled here, not in the loop
    measure_pair_float32(one.ctypes.data, one.ctypes.data, 1, out, out, 0)
    measure_all_float32(np.array([one.ctypes.data, 1, 0]), out, True)
    return Kernels(single, measure_pair_float32, measure_all_float32)


class Gauge:
    """Measures CPU gradients; with `PLAIN` kernels by torch operations alone (the tests compare the two)."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels, self._pair, self._many = kernels

    def measure_pair(self, x: Tensor, y: Tensor, out: Rows, sum_out: Rows, row: int) -> bool:
        """Write what `measure` writes of `x` into `out[row]` and of `x + y` into `sum_out[row]`, in one pass.

        Returns False where it cannot, having written nothing: not both contiguous float32 on the CPU.
        """
        if self._pair is None or x.dtype is not torch.float32 or y.dtype is not torch.float32:
            return False
        if x.layout is not torch.strided or y.layout is not torch.strided or not y.is_cpu:
            return False
        numel = x.numel()
        if not x.is_contiguous() or not y.is_contiguous() or y.numel() != numel or x.is_neg() or y.is_neg():
            return False
        self._pair(address(x), address(y), numel, out, sum_out, row)
        return True

    def measure_all(self, xs: list[tuple[int, Tensor]], out: Rows, count_zeros: bool = False) -> None:
        """`measure` each tensor into its row of `out`; contiguous float32 ones in one call of the kernel."""
        many, single, strided = self._many, torch.float32, torch.strided
        table: list[int] = []
        for row, x in xs:
            plain = x.dtype is single and x.layout is strided and x.is_contiguous()
            if plain and many is not None and (at := x.data_ptr()):
                table += (at, x.numel(), row)
            else:
                self.measure(x, out, row, count_zeros)
        if table and many is not None:
            many(np.array(table), out, count_zeros)

    def measure(self, x: Tensor, out: Rows, row: int, count_zeros: bool = False) -> int:
        """Write L1, SQUARES, MAX, NONFINITE (and ZEROS) of `x` into `out[row]`; returns its number of elements."""
        kernel, numel = self._kernels.get(x.dtype), x.numel()
        if kernel is not None and x.layout is torch.strided and (x.is_contiguous() or is_dense(x)):
            kernel(address(x), numel, out, row, count_zeros)
            return numel
        totals = self._measure_in_pieces(x)
        width = WIDTH if count_zeros else ZEROS
        out[row, :width] = totals[:width]
        return 0 if x.layout is not torch.strided else numel

    def _measure_in_pieces(self, x: Tensor) -> Rows:
        totals = np.zeros(WIDTH)
        with torch.no_grad():
            for piece in pieces(values_of(x)):
                part = self._measure_piece(piece)
                top = np.maximum(totals[MAX], part[MAX])  # NaN wins
                totals += part
                totals[MAX] = top
        totals[ZEROS] += x.numel() - values_of(x).numel()  # a sparse gradient is zero where it stores nothing
        return totals

    def _measure_piece(self, piece: Tensor) -> Rows:
        scratch = magnitudes(piece)
        part = np.zeros((1, WIDTH))
        kernel = self._kernels.get(torch.float64)
        if kernel is not None:
            kernel(address(scratch), scratch.numel(), part, 0, True)
        else:
            part[0] = measure_on_device(scratch).numpy()
        row: Rows = part[0]
        return row


def measure_on_device(x: Tensor) -> Tensor:
    """The five numbers of `x` as a float64 tensor on its device, by torch operations alone.

    Nothing here waits for the device. Sums run over rows of 1,024 in the gradient's own precision and
    over the rows in float64: no gradient is ever widened whole.
    """
    values = values_of(x.detach()).reshape(-1)
    if values.numel() == 0:
        return torch.tensor([0, 0, 0, 0, x.numel()], dtype=torch.float64, device=x.device)
    magnitude = values.abs() if values.is_complex() else values
    cut = values.numel() // ROW * ROW
    body, rest = magnitude[:cut].view(-1, ROW), magnitude[cut:].double()
    numbers = [
        _row_norms(body, 1).sum() + rest.abs().sum(),
        _row_norms(body, 2).square().sum() + rest.square().sum(),
        torch.linalg.vector_norm(magnitude, float("inf")),
        values.numel() - torch.isfinite(magnitude).sum(),
        x.numel() - torch.count_nonzero(magnitude),
    ]
    return torch.stack([number.double() for number in numbers])


def _row_norms(body: Tensor, order: int) -> Tensor:
    wide = body.dtype if body.dtype is torch.float64 else torch.float32
    norms: Tensor = torch.linalg.vector_norm(body, order, dim=1, dtype=wide)
    return norms.double()
