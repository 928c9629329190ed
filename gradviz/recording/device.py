"""Rows of gradients that live on an accelerator: measured there, fetched on the writer's thread.

Each measurement is a new five-number tensor on the device. Nothing on the training thread waits for
it; the callable that `fill_later` returns does, in the background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradviz.schema import PREVIOUS_SQUARES, SQUARES

Sums = NDArray[np.float64]


class DeviceRows:
    """Slot -> its five numbers on the device: of `p.grad`, of this backward's share, of `p.grad` before it."""

    def __init__(self) -> None:
        self.state: dict[int, Tensor] = {}
        self.micro: dict[int, Tensor] = {}
        self._before: dict[int, Tensor] = {}

    def begin(self) -> None:
        """A backward begins: what `p.grad` holds now is G_{k-1}."""
        self._before = dict(self.state)
        self.micro = {}

    def fill_later(self, assemble: Callable[[], Sums], *, micro: bool) -> Callable[[], Sums]:
        """A callable that assembles the rows on the CPU, waits for the device and writes its rows into them."""
        state = dict(self.state)
        shares, before = (self.micro, self._before) if micro else ({}, {})
        ready = mark_stream(next(iter(state.values())))

        def fill() -> Sums:
            sums = assemble()
            ready()
            _write(sums, state, slice(0, 5), slice(0, 5))
            _write(sums, shares, slice(0, 4), slice(5, 9))
            _write(sums, before, slice(SQUARES, SQUARES + 1), slice(PREVIOUS_SQUARES, PREVIOUS_SQUARES + 1))
            return sums

        return fill


def _write(sums: Sums, rows: dict[int, Tensor], source: slice, target: slice) -> None:
    for device in {row.device for row in rows.values()}:
        slots = [slot for slot, row in rows.items() if row.device == device]
        fetched = torch.stack([rows[slot] for slot in slots]).cpu().numpy()  # one transfer
        sums[slots, target] = fetched[:, source]


def mark_stream(row: Tensor) -> Callable[[], None]:
    """Waits, when called, for what the training stream had been given up to now."""
    if row.device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(row.device))
    return event.synchronize
