"""The numbers of every watched gradient, one row a slot: as last looked at, and this backward's own share.

This is the hot path: a few microseconds a parameter are all that training may notice.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.device import DeviceRows
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.statistics import Gauge, measure_on_device
from gradviz.schema import (
    L1,
    MICRO_L1,
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    SUMS_WIDTH,
)

Sums = NDArray[np.float64]
HALVES = {"float16", "bfloat16"}  # p.grad is rounded too coarsely for norms to yield a cosine
WORTH_REMEMBERING = 4096  # elements; a smaller gradient is measured twice sooner than recognised


class GradientBoard:
    """What is known of each `p.grad`. Keeps numbers, identities and versions, never a gradient."""

    def __init__(self, watched: WatchedParameters, gauge: Gauge) -> None:
        count = len(watched)
        self._references, self._gauge = watched.references, gauge
        # columns as in EventRecord.sums; the gauge writes p.grad at the left, this backward's share from MICRO_L1
        self._sums = np.zeros((count, SUMS_WIDTH))
        self._sums[:, [NONFINITE, MICRO_NONFINITE]] = -1
        self._shares = self._sums[:, MICRO_L1:]
        self._before = self._sums.copy()
        self._rounded = [layer.layer_id for layer in watched.layers if layer.dtype in HALVES]
        self._grads: list[weakref.ref[Tensor] | None] = [None] * count
        self._versions = [-1] * count
        self._arrived: dict[int, tuple[int, int]] = {}  # slot -> address and version of a large gradient
        self._fired: dict[int, int] = {}  # slot -> how often its hook fired, in firing order
        self._device = DeviceRows()

    def begin(self, slots: Iterable[int], *, fresh: bool) -> bool:
        """Look before a backward: what stands in `p.grad` now is G_{k-1}. Returns whether it was edited since."""
        sums = self._sums
        sums[:, MICRO_NONFINITE] = -1
        self._before = sums.copy()
        changed = self.look(slots, fresh=fresh)
        edited = bool(changed) and self._differs(changed)
        if changed:
            self._before = sums.copy()
        sums[:, PREVIOUS_SQUARES] = sums[:, SQUARES]
        self._device.begin()
        self._fired = {}
        return edited

    def see(self, slot: int, gradient: Tensor) -> None:
        """This backward's own gradient, not yet in `p.grad`. Measured here: a kept reference costs a copy."""
        self._fired[slot] = self._fired.get(slot, 0) + 1
        if not gradient.is_cpu:
            self._device.micro[slot] = measure_on_device(gradient)
        elif self._gauge.measure(gradient, self._shares, slot) > WORTH_REMEMBERING:
            self._arrived[slot] = (gradient.data_ptr(), gradient._version)

    def finish(self, slots: Iterable[int]) -> list[int]:
        """Look after a backward: `p.grad` is G_k. Returns the slots that changed."""
        changed = self.look(slots)
        self._arrived.clear()  # good for this moment only: `.data` may change p.grad without a trace
        for slot, times in self._fired.items():
            if times > 1:  # re-entrant checkpoints: g_k came in parts, known only where it is all of G_k
                whole = self._before[slot, NONFINITE] < 0
                self._shares[slot, :4] = self._sums[slot, :4] if whole else (0, 0, 0, -1)
        return changed

    def fired(self) -> list[int]:
        """Slots whose gradient arrived in this backward, in firing order."""
        return list(self._fired)

    def look(self, slots: Iterable[int], *, fresh: bool = False, count_zeros: bool = False) -> list[int]:
        """Measure each `p.grad` that changed since the last look (all, if `fresh`); returns those slots."""
        references, grads, versions = self._references, self._grads, self._versions
        changed: list[int] = []
        for slot in slots:
            parameter = references[slot]()
            grad = None if parameter is None else parameter.grad
            known = grads[slot]
            if grad is None:
                if known is not None:
                    self._clear(slot)
                    changed.append(slot)
                continue
            version = grad._version
            if known is None or known() is not grad:
                grads[slot] = weakref.ref(grad)
            elif version == versions[slot] and not fresh:
                continue
            versions[slot] = version
            changed.append(slot)
            self._measure(slot, grad, count_zeros)
        return changed

    def _clear(self, slot: int) -> None:
        self._grads[slot] = None
        self._sums[slot, :NONFINITE] = 0
        self._sums[slot, NONFINITE] = -1
        self._device.state.pop(slot, None)

    def _measure(self, slot: int, grad: Tensor, count_zeros: bool) -> None:
        if not grad.is_cpu:
            self._device.state[slot] = measure_on_device(grad)
        elif slot in self._arrived and self._arrived[slot] == (grad.data_ptr(), grad._version):
            self._sums[slot, :4] = self._shares[slot, :4]  # the first gradient of a window *is* p.grad
        else:
            self._gauge.measure(grad, self._sums, slot, count_zeros)

    def _differs(self, slots: list[int]) -> bool:
        """Whether the numbers changed and not only the version: clipping may clip nothing, and that is no edit."""
        if self._device.state.keys() & set(slots):
            return True  # to compare would be to wait for the device
        return not np.array_equal(self._sums[slots, :4], self._before[slots, :4], equal_nan=True)

    def hidden_resets(self) -> list[int]:
        """Slots whose G_k is g_k alone although G_{k-1} was not 0: cleared without a trace, by `.data.zero_()`."""
        sums = self._sums
        same = sums[:, SQUARES] == sums[:, MICRO_SQUARES]
        if not same.any():
            return []
        same &= (sums[:, L1] == sums[:, MICRO_L1]) & (sums[:, MICRO_NONFINITE] >= 0)
        return list(np.flatnonzero(same & (sums[:, PREVIOUS_SQUARES] > 1e-12 * sums[:, SQUARES])))

    def forget_before(self, slots: Iterable[int]) -> Sums:
        """Set G_{k-1} of `slots` to 0 and return the rows of that moment, as an edit shows them."""
        self._before[list(slots), : NONFINITE + 1] = 0
        self._sums[list(slots), PREVIOUS_SQUARES] = 0
        return self._before.copy()

    def sums(self, *, micro: bool = False) -> Sums | Callable[[], Sums]:
        """[slots, SUMS_WIDTH] as they stand; for gradients on a device a callable that fetches them later."""
        sums = self._sums.copy()
        if micro and self._rounded:
            sums[self._rounded, PREVIOUS_SQUARES] = np.nan
        return self._device.fill_later(sums, micro=micro) if self._device.state else sums
