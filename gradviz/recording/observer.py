"""Turns moments of training into events: reset, micro-step, edit, update. Raises freely; the recorder guards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from gradviz.recording.board import GradientBoard
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import learning_rate, loss_of
from gradviz.recording.windows import Windows
from gradviz.schema import EventRecord, Phase, Scalar
from gradviz.store.writer import RunWriter

Sums = Callable[[], NDArray[np.float64]]  # [slots, SUMS_WIDTH], put together on the writer's thread
ReadScale = Callable[[], dict[str, Scalar]]


class Observer:
    """Where training stands and what its gradients were at the last look."""

    def __init__(
        self,
        watched: WatchedParameters,
        board: GradientBoard,
        windows: Windows,
        writer: RunWriter,
        read_scale: ReadScale,
    ) -> None:
        self.slots: list[int] = []  # those recorded: trainable and hooked
        self.see_gradient, self.distrust = board.see, board.distrust
        self.logged: dict[str, Scalar] = {}
        self._rows = np.zeros(0, np.int32), np.zeros(0, np.int64)  # ids and numels of `slots`
        self._watched, self._board, self._windows, self._writer = watched, board, windows, writer
        self._read_scale = read_scale
        self._began, self._event = time.monotonic(), 0
        self._pending: tuple[Phase, Sums, float] | None = None
        self._loss: dict[str, Scalar] = {}
        self._consumed: Callable[[], None] | None = None
        self._order_known = False

    def add_slot(self, slot: int) -> None:
        """Record `slot` from now on."""
        self.slots = sorted([*self.slots, slot])
        ids = np.array(self.slots, dtype=np.int32)
        self._rows = ids, self._watched.numels[ids]

    def begin_backward(self, tensors: Any) -> bool:
        """What is left of the last window (`reset`), or was changed since the last backward (`edit`).

        Returns whether this window is recorded.
        """
        self._windows.begin()
        if not self._windows.recorded:
            self.logged = {}  # of a micro-step that is not recorded
            return False
        fresh = self._windows.fresh
        edited = self._board.begin(self.slots, fresh=fresh)
        if fresh or edited:
            # not an event yet: this backward may belong to another model
            self._pending = (Phase.RESET if fresh else Phase.EDIT, self._board.moment(), self._seconds())
        self._loss = loss_of(tensors)
        return True

    def end_backward(self) -> None:
        """A `micro_step`, if this backward reached a watched parameter at all."""
        if not self._board.finish(self.slots):
            return
        self._emit_what_came_before()
        self._windows.count()
        scalars = self._loss | self._read_scale() | self.logged
        self.logged = {}
        self._emit(Phase.MICRO_STEP, self._board.moment_of_micro_step(), scalars)
        if not self._order_known:
            self._order_known = True
            self._writer.describe(forward_order=self._watched.forward_order(self._board.fired()))

    def _emit_what_came_before(self) -> None:
        if self._pending is not None:
            phase, sums, seconds = self._pending
            self._emit(phase, sums, {}, seconds=seconds)
            self._pending = None
        hidden = [] if self._windows.fresh else self._board.hidden_resets()  # a reset is measured afresh
        if hidden:
            self._emit(Phase.EDIT, self._board.forget_before(hidden), {})

    def consume(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer.step()` begins: `p.grad` as it consumes it."""
        self._consumed = None  # of a closure whose step raised
        self._windows.consume(id(optimizer))
        if self._windows.recorded:
            self._close_window(optimizer, slots, self._take(slots))

    def closure_returned(self, optimizer: Optimizer, slots: list[int]) -> None:
        """A closure inside `optimizer.step(closure)` has returned; of several calls (LBFGS) the last one counts."""
        sums = self._take(slots) if self._windows.recorded else None
        self._consumed = lambda: self._close_after_closure(optimizer, slots, sums)

    def optimizer_returned(self) -> None:
        """`optimizer.step()` is over: an update whose gradient came out of a closure is due now."""
        consumed, self._consumed = self._consumed, None
        if consumed is not None:
            consumed()

    def _close_after_closure(self, optimizer: Optimizer, slots: list[int], sums: Sums | None) -> None:
        self._windows.consume(id(optimizer))
        if sums is not None and self._windows.recorded:
            self._close_window(optimizer, slots, sums)

    def _take(self, slots: list[int]) -> Sums:
        self._board.look(slots, fresh=True, count_zeros=True)  # unscaling leaves no trace in the version
        return self._board.moment()

    def _close_window(self, optimizer: Optimizer, slots: list[int], sums: Sums) -> None:
        self._pending = None
        self._emit(Phase.UPDATE, sums, learning_rate(optimizer) | self._read_scale(), slots=slots)

    def finish(self) -> None:
        """At close: what was left in `p.grad` after the last update."""
        if not self._windows.between or next(self._watched.alive(), None) is None:
            return
        self._windows.begin()
        if self._windows.recorded:
            self._board.begin(self.slots, fresh=True)
            self._emit(Phase.RESET, self._board.moment(), {})

    def _emit(
        self,
        phase: Phase,
        sums: Sums,
        scalars: dict[str, Scalar],
        *,
        slots: list[int] | None = None,
        seconds: float | None = None,
    ) -> None:
        ids, numels = self._rows if slots is None else self._rows_of(slots)
        windows = self._windows
        micro_step = 0 if phase is Phase.RESET else windows.micro_step
        moment = self._seconds() if seconds is None else seconds
        rows = sums if len(ids) == len(self._watched) else _only(sums, ids)
        self._writer.put(
            EventRecord(self._event, windows.update, micro_step, phase, moment, ids, numels, rows, scalars)
        )
        self._event += 1

    def _rows_of(self, slots: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        if slots == self.slots:
            return self._rows
        ids = np.array(sorted(set(slots) & set(self.slots)), dtype=np.int32)
        return ids, self._watched.numels[ids]

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _only(sums: Sums, rows: NDArray[np.int32]) -> Sums:
    return lambda: sums()[rows]
