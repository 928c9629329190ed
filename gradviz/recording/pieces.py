"""Gradients as memory: where their numbers lie, and how to go through any of them without copying it whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

PIECE = 32_768  # elements: 256 KB of float64 scratch, inside a second-level cache


def address(x: Tensor) -> int:
    """Where the numbers lie. A DTensor, a fake tensor, a freed storage have none: the kernel would read address 0."""
    place = x.data_ptr()
    if not place and x.numel():
        raise TypeError(f"a gradient of type {type(x).__name__} has no memory of its own")
    return place


def values_of(x: Tensor) -> Tensor:
    """The stored numbers: of a sparse gradient (an embedding's) only what it holds, duplicates summed."""
    if x.layout is torch.sparse_coo:
        return x.coalesce().values()
    return x if x.layout is torch.strided else x.to_dense()


def pieces(x: Tensor, longest: int = PIECE) -> Iterator[Tensor]:
    """`x` in pieces of at most about `longest` elements, each of them small enough to copy; in any order."""
    if x.numel() <= longest:
        yield x
    elif is_dense(x):
        yield from x.as_strided((x.numel(),), (1,)).split(longest)
    else:  # expanded or sliced: never flattened whole, that would be a copy
        axis = max(range(x.dim()), key=x.size)
        for part in x.split(max(1, x.size(axis) * longest // x.numel()), axis):
            yield from pieces(part, longest)


def is_dense(x: Tensor) -> bool:
    """Whether the numbers fill one block of memory, in any order (transposed, channels last): order is no matter."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def magnitudes(piece: Tensor) -> Tensor:
    """|x| as contiguous float64; complex numbers are widened first, or |z| could overflow."""
    wide: Any = torch.complex128 if piece.is_complex() else torch.float64
    return piece.detach().to(wide).abs().reshape(-1).contiguous()
