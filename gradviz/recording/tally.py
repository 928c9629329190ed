"""Counts every k-th update's gradients by exponent, as its optimizer consumes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from gradviz.recording.device import mark_stream
from gradviz.recording.exponents import (
    NO_GRADIENT,
    Counts,
    ExponentGauge,
    count_on_device,
    load_exponent_kernels,
)
from gradviz.recording.parameters import WatchedParameters
from gradviz.schema import BINS

Counted = dict[int, Counts | Tensor]
"""Slot -> its counts [BINS], on the CPU or where its gradient lives."""


class Tally:
    """What was counted since the last `take`."""

    def __init__(self, watched: WatchedParameters, every: int) -> None:
        self._watched, self._references, self._every = watched, watched.references, every
        self._gauge = ExponentGauge(load_exponent_kernels())
        self._counted: Counted = {}

    def count(self, slots: list[int], update: int, optimizer: Optimizer | None = None) -> None:
        """Count each `p.grad` of `slots`, if this update's turn has come.

        A fused `optimizer` under a GradScaler divides by the scale in its own kernel: so does this.
        """
        if update % self._every:
            return
        rows = np.full((len(slots), BINS), NO_GRADIENT, dtype=np.int64)
        scale = getattr(optimizer, "grad_scale", None)
        for row, slot in enumerate(slots):
            parameter = self._references[slot]()
            grad = None if parameter is None else parameter.grad
            local = None if grad is None else part_of(self._watched, slot, grad)
            if local is not None and not local.is_cpu:
                self._counted[slot] = count_on_device(local, 1.0 if scale is None else scale)
                continue
            if local is not None:
                self._gauge.count(local, rows, row, 1.0 if scale is None else float(scale))
            self._counted[slot] = rows[row]

    def take(self) -> Counted | None:
        """What was counted; None where this update is not one of those."""
        counted, self._counted = self._counted, {}
        return counted or None


def part_of(watched: WatchedParameters, slot: int, gradient: Tensor) -> Tensor | None:
    """What this process holds of the `gradient` of `slot`."""
    return watched.part_of(slot, gradient) if watched.sharded else gradient


def counts_of(counted: Counted, slots: Iterable[int]) -> Counts | Callable[[], Counts]:
    """Counts [slots, BINS]: now, or where some are on a device a callable for the writer's thread."""
    rows = {slot: counted[slot] for slot in slots}
    remote = {slot: row for slot, row in rows.items() if isinstance(row, Tensor)}
    if not remote:
        return np.array(list(rows.values()), dtype=np.int64).reshape(-1, BINS)
    ready = mark_stream(next(iter(remote.values())))

    def fetch() -> Counts:
        ready()
        for device in {row.device for row in remote.values()}:
            there = [slot for slot, row in remote.items() if row.device == device]
            fetched = torch.stack([remote[slot] for slot in there]).cpu().numpy()  # one transfer
            rows.update(zip(there, fetched, strict=True))
        return np.array(list(rows.values()), dtype=np.int64)

    return fetch
