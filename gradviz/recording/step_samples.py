"""Samples of single-precision weights on the CPU: the common case, two calls an update for all layers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Set
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradviz.schema import STEP_SQUARES, WEIGHT_SQUARES

BLOCK = 256
Sums = NDArray[np.float64]
Integers = NDArray[np.int64]
Where = tuple[int, torch.dtype | None, int]  # address, dtype, elements


class Layout(NamedTuple):
    """Where the sample of each slot that is kept stands in one buffer; `share` is numel / sampled elements."""

    slots: list[int]
    numels: Integers
    blocks: Integers
    starts: Integers
    share: NDArray[np.float64]
    buffer: NDArray[np.float32]
    found: NDArray[np.float64]
    """[slots, 2]: sum w^2 and sum (dw)^2 over the sample; the second is NaN where the sample is not kept."""


class FloatSamples:
    """Takes and compares the samples with the compiled kernels `(take, compare)`."""

    def __init__(self, references: list[weakref.ref[Tensor]], size: int, kernels: tuple[Any, Any]) -> None:
        self._references, self._size = references, size
        self._take, self._compare = kernels
        self._asked: list[int] = []
        self._exact: frozenset[int] = frozenset()
        self._mine: list[weakref.ref[Tensor]] = []  # what can be sampled here of the slots asked for
        self._others: list[int] = []
        self._where: list[Where] = []
        self._addresses = np.zeros(0, dtype=np.int64)
        self._layout = _layout([], [], [], size)
        self._taken = False

    def before(self, slots: list[int], exact: Set[int] = frozenset()) -> list[int]:
        """Keep the samples of what can be sampled here, of the `exact` slots only their norm; returns the others."""
        if slots != self._asked or self._exact != exact or _places(self._mine) != self._where:
            self._choose(slots, frozenset(exact))
        at, self._taken = self._layout, bool(self._where)
        if self._taken:
            self._take(self._addresses, at.numels, at.blocks, at.starts, at.buffer, at.found)
        return self._others

    def _choose(self, slots: list[int], exact: frozenset[int]) -> None:
        found = [(slot, p) for slot in slots if (p := self._references[slot]()) is not None and _is_plain(p)]
        mine = [slot for slot, _ in found]
        self._asked, self._exact = list(slots), exact
        self._others = sorted(set(slots).difference(mine))
        self._mine = [self._references[slot] for slot in mine]
        self._where = _places(self._mine)
        self._addresses = np.array([parameter.data_ptr() for _, parameter in found], dtype=np.int64)
        kept = [slot not in exact for slot in mine]
        self._layout = _layout(mine, [parameter.numel() for _, parameter in found], kept, self._size)

    def after(self) -> Callable[[Sums], None] | None:
        """Compare; None where the weights are no longer where they were."""
        taken, self._taken, at = self._taken, False, self._layout
        if not taken or (len(at.buffer) and _places(self._mine) != self._where):
            return None
        if len(at.buffer):
            self._compare(self._addresses, at.numels, at.blocks, at.starts, at.buffer, at.found)
        found = at.found.copy()

        def write(sums: Sums) -> None:
            sums[at.slots, WEIGHT_SQUARES] = found[:, 0] * at.share
            sums[at.slots, STEP_SQUARES] = found[:, 1] * at.share

        return write


def _places(references: list[weakref.ref[Tensor]]) -> list[Where]:
    """What would be different of each weight if it had other memory; asked twice an update."""
    return [
        (0, None, 0) if (x := reference()) is None else (x.data_ptr(), x.dtype, x.numel())
        for reference in references
    ]


def _is_plain(x: Tensor) -> bool:
    plain = x.dtype is torch.float32 and x.is_cpu and x.layout is torch.strided and x.is_contiguous()
    return plain and not hasattr(x, "to_local") and (bool(x.data_ptr()) and x.numel() > 0)


def _layout(slots: list[int], numels: list[int], kept: list[bool], size: int) -> Layout:
    blocks = [0 if numel <= size else size // BLOCK for numel in numels]
    lengths = [BLOCK * count if count else numel for count, numel in zip(blocks, numels, strict=True)]
    starts = np.cumsum(
        [0, *(length * keep for length, keep in zip(lengths, kept, strict=True))], dtype=np.int64
    )
    share = np.array([n / max(1, length) for n, length in zip(numels, lengths, strict=True)])
    return Layout(
        slots,
        np.array(numels, dtype=np.int64),
        np.array(blocks, dtype=np.int64),
        starts,
        share,
        np.empty(int(starts[-1]), dtype=np.float32),
        np.full((len(slots), 2), np.nan),
    )


def load_step_kernels() -> tuple[Any, Any] | None:
    """The compiled `(take_samples, compare_samples)`, warm; None where numba is absent or cannot compile."""
    try:
        from gradviz.recording.step_kernels import compare_samples, take_samples

        weight, out = np.ones(1, dtype=np.float32), np.zeros((1, 2))
        address, one = np.array([weight.ctypes.data]), np.ones(1, dtype=np.int64)
        none, starts = np.zeros(1, dtype=np.int64), np.array([0, 1])
        take_samples(address, one, none, starts, weight.copy(), out)
        compare_samples(address, one, none, starts, weight.copy(), out)
    except Exception:  # `load_kernels` has said why; sampling goes on with torch operations
        return None
    return take_samples, compare_samples
