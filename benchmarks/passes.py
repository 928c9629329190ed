"""The recorder's own time: one pass of its kernel over a gradient, beside one read of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from gradviz.recording.statistics import Kernel, PairKernel, load_kernels


def passes() -> str:
    """Single precision, 1e7 and 1e8 elements, relative to plain reads (sums)."""
    kernels = load_kernels()
    single, pair = kernels.single.get(torch.float32), kernels.pair
    if single is None or pair is None:
        return "no numba here, so no kernel"
    return "\n".join(passes_over(count, single, pair) for count in (10**7, 10**8))


def passes_over(count: int, single: Kernel, pair: PairKernel) -> str:
    """One pass over g, and one over g and G for g and G + g together."""
    x, y, out = torch.randn(count), torch.randn(count), np.zeros((2, 5))
    ratios = []
    for _ in range(10):
        read = seconds(x.sum)
        one = seconds(lambda: single(x.data_ptr(), count, out, 0, False))
        both = seconds(lambda: pair(x.data_ptr(), y.data_ptr(), count, out, out, 1))
        mean = seconds(lambda: x.abs().mean().item())
        ratios.append((one / read, both / read / 2, mean / read))
    one, both, mean = (statistics.median(column) for column in zip(*ratios, strict=True))
    return (
        f"{count:.0e} elements: one pass over g {one:.2f} of a read, over g and G {both:.2f} of two reads; "
        f"`.abs().mean().item()` {mean:.2f} of a read"
    )


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
