"""The numbers of every watched gradient, one row a slot: as last looked at, and this backward's own share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.device import DeviceRows
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.statistics import WIDTH, Gauge, measure_on_device
from gradviz.schema import L1, MICRO_NONFINITE, NONFINITE, PREVIOUS_SQUARES, SQUARES, SUMS_WIDTH

Sums = NDArray[np.float64]
HALVES = {"float16", "bfloat16"}  # p.grad is rounded too coarsely for norms to yield a cosine


class GradientBoard:
    """What is known of each `p.grad`. Keeps numbers, identities and versions, never a gradient."""

    def __init__(self, watched: WatchedParameters, gauge: Gauge) -> None:
        count = len(watched)
        self._watched, self._gauge = watched, gauge
        self._state, self._micro = np.zeros((count, WIDTH)), np.zeros((count, WIDTH))
        self._state[:, NONFINITE] = -1
        self._before = self._state.copy()
        self._rounded = [layer.layer_id for layer in watched.layers if layer.dtype in HALVES]
        self._grads: list[weakref.ref[Tensor] | None] = [None] * count
        self._versions = [-1] * count
        self._arrived: dict[int, tuple[int, int]] = {}  # slot -> address and version of a first gradient
        self._fired: dict[int, int] = {}  # slot -> how often its hook fired, in firing order
        self._device = DeviceRows()

    def begin(self, slots: Iterable[int], *, fresh: bool) -> bool:
        """Look before a backward: what stands in `p.grad` now is G_{k-1}. Returns whether it was edited since."""
        self._before[:] = self._state
        changed = self.look(slots, fresh=fresh)
        edited = bool(changed) and self._differs(changed)
        self._before[:] = self._state
        self._device.begin()
        self._micro[:, NONFINITE] = -1
        self._fired.clear()
        self._arrived.clear()
        return edited

    def see(self, slot: int, gradient: Tensor) -> None:
        """This backward's own gradient, before it is added to `p.grad`. Measured here: a kept reference costs a copy."""
        self._fired[slot] = self._fired.get(slot, 0) + 1
        if not gradient.is_cpu:
            self._device.micro[slot] = measure_on_device(gradient)
            return
        self._gauge.measure(gradient, self._micro, slot)
        if self._state[slot, NONFINITE] < 0 and gradient.layout is torch.strided:
            self._arrived[slot] = (gradient.data_ptr(), gradient._version)

    def finish(self, slots: Iterable[int]) -> list[int]:
        """Look after a backward: `p.grad` is G_k. Returns the slots that changed."""
        changed = self.look(slots)
        self._arrived.clear()  # good for this moment only: `.data` may change p.grad without a trace
        for slot, times in self._fired.items():
            if times > 1:  # re-entrant checkpoints: g_k came in parts, known only where it is all of G_k
                whole = self._before[slot, NONFINITE] < 0
                self._micro[slot] = self._state[slot] if whole else (0, 0, 0, -1, 0)
        return changed

    def fired(self) -> list[int]:
        """Slots whose gradient arrived in this backward, in firing order."""
        return list(self._fired)

    def look(self, slots: Iterable[int], *, fresh: bool = False, count_zeros: bool = False) -> list[int]:
        """Measure each `p.grad` that changed since the last look (all, if `fresh`); returns those slots."""
        return [slot for slot in slots if self._look_at(slot, fresh, count_zeros)]

    def _look_at(self, slot: int, fresh: bool, count_zeros: bool) -> bool:
        parameter = self._watched.references[slot]()
        grad = None if parameter is None else parameter.grad
        if grad is None:
            return self._clear(slot)
        known, version = self._grads[slot], grad._version
        if known is None or known() is not grad:
            self._grads[slot] = weakref.ref(grad)
        elif version == self._versions[slot] and not fresh:
            return False
        self._versions[slot] = version
        self._measure(slot, grad, count_zeros)
        return True

    def _clear(self, slot: int) -> bool:
        had_gradient = self._grads[slot] is not None
        self._grads[slot] = None
        self._state[slot] = 0
        self._state[slot, NONFINITE] = -1
        self._device.state.pop(slot, None)
        return had_gradient

    def _measure(self, slot: int, grad: Tensor, count_zeros: bool) -> None:
        if not grad.is_cpu:
            self._device.state[slot] = measure_on_device(grad)
        elif self._arrived.get(slot) == (_address(grad), grad._version):
            self._state[slot] = self._micro[slot]  # the first gradient of a window *is* p.grad
        else:
            self._gauge.measure(grad, self._state, slot, count_zeros=count_zeros)

    def _differs(self, slots: list[int]) -> bool:
        """Whether the numbers changed and not only the version: clipping may clip nothing, and that is no edit."""
        if self._device.state.keys() & set(slots):
            return True  # to compare would be to wait for the device
        return not np.array_equal(self._state[slots], self._before[slots], equal_nan=True)

    def hidden_resets(self) -> list[int]:
        """Slots whose G_k is g_k alone although G_{k-1} was not 0: cleared without a trace, by `.data.zero_()`."""
        state, micro, before = self._state, self._micro, self._before
        same = state[:, SQUARES] == micro[:, SQUARES]
        if not same.any():
            return []
        same &= (state[:, L1] == micro[:, L1]) & (micro[:, NONFINITE] >= 0)
        return list(np.flatnonzero(same & (before[:, SQUARES] > 1e-12 * micro[:, SQUARES])))

    def forget_before(self, slots: Iterable[int]) -> Sums:
        """Set G_{k-1} of `slots` to 0 and return the rows of that moment, as an edit shows them."""
        self._before[list(slots)] = 0
        return _padded(self._before)

    def sums(self, *, micro: bool = False) -> Sums | Callable[[], Sums]:
        """[slots, SUMS_WIDTH] as they stand; for gradients on a device a callable that fetches them later."""
        sums = _padded(self._state)
        if micro:
            sums[:, WIDTH:PREVIOUS_SQUARES] = self._micro[:, :4]
            sums[:, PREVIOUS_SQUARES] = self._before[:, SQUARES]
            sums[self._rounded, PREVIOUS_SQUARES] = np.nan
        return self._device.fill_later(sums, micro=micro) if self._device.state else sums


def _padded(rows: Sums) -> Sums:
    sums = np.zeros((len(rows), SUMS_WIDTH))
    sums[:, :WIDTH] = rows
    sums[:, MICRO_NONFINITE] = -1
    return sums


def _address(grad: Tensor) -> int:
    return grad.data_ptr() if grad.layout is torch.strided else 0
