"""Turns moments of training into events: reset, micro-step, edit, update. Raises freely; the recorder guards."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from gradviz.recording.amp import Unscaling
from gradviz.recording.board import GradientBoard
from gradviz.recording.loss_usual import audited
from gradviz.recording.moments import Moment, Sums, coefficient, only
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import learning_rate, loss_of
from gradviz.recording.surroundings import Surroundings
from gradviz.recording.tally import Counted, Tally, counts_of
from gradviz.recording.turns import Loss
from gradviz.recording.updates import Update, UpdateBook, fused_scale
from gradviz.recording.windows import Windows
from gradviz.schema import EventRecord, Phase, Scalar
from gradviz.store.writer import RunWriter


class Observer:
    """Where training stands and what its gradients were at the last look."""

    def __init__(
        self,
        watched: WatchedParameters,
        board: GradientBoard,
        windows: Windows,
        writer: RunWriter,
        unscaling: Unscaling,
        tally: Tally | None = None,
    ) -> None:
        self.slots: list[int] = []  # those recorded: trainable and hooked
        self.board, self.distrust_each, self.reached = board, board.distrust_each, board.fired
        self.logged: dict[str, Scalar] = {}
        self.unscaling = unscaling
        self.surroundings = Surroundings(watched, writer.describe)
        self._rows = np.zeros(0, np.int32), np.zeros(0, np.int64)  # ids and numels of `slots`
        self._watched, self._board, self._windows, self._writer = watched, board, windows, writer
        self.updates, self._tally = UpdateBook(watched), tally
        self._began, self._event = writer.began, writer.first_event
        self._pending: tuple[Phase, Sums, float] | None = None
        self.loss = Loss({}, None)
        self._accumulated: Sums | None = None  # of the last micro-step: what an update is compared with

    def add_slots(self, slots: list[int]) -> None:
        """Record these, too, from now on."""
        self.slots = sorted([*self.slots, *slots])
        ids = np.array(self.slots, dtype=np.int32)
        self._rows = ids, self._watched.numels[ids]

    def grow(self) -> None:
        """The model may have got parameters since: watch them from the next window on."""
        if (self._windows.between or self._windows.fresh) and (added := self._watched.grow()):
            self._settle_updates()
            self._writer.add_layers(added)
            self._board.start()
            self.unscaling.start(len(self._watched))
            self.surroundings.grown()

    # ---- backward ----

    def begin_backward(self, tensors: Any, gradient: Any = None) -> bool:
        """What is left of the last window (`reset`), or was changed since the last backward (`edit`).

        Returns whether this window is recorded.
        """
        self._settle_updates()
        self._windows.begin()
        if not self._windows.recorded:
            self.logged = {}  # of a micro-step that is not recorded
            self.unscaling.scale = self.unscaling.begin(tensors)
            return False
        fresh = self._windows.fresh
        edited = self._board.begin(self.slots, fresh=fresh)
        if fresh or edited:
            # not an event yet: this backward may belong to another model
            self._pending = (Phase.RESET if fresh else Phase.EDIT, self._moment(), self._seconds())
        scale = self.unscaling.begin(tensors)
        self.loss = Loss(loss_of(tensors, scale) | audited(tensors, gradient, scale), scale)
        return True

    def end_backward(self) -> None:
        """A `micro_step`, if this backward reached a watched parameter at all."""
        if not self._board.finish(self.slots) and not self.surroundings.counts_unseen():
            return
        self._emit_what_came_before()
        self._windows.count()
        self.unscaling.scale = self.loss.scale
        if self.unscaling.active:
            self.unscaling.arrived(self._board.touched())
        scalars = self.loss.scalars | self.surroundings.rate() | self.unscaling.scalars() | self.logged
        self.logged = {}
        sums = self._accumulated = self._board.moment_of_micro_step(self.unscaling)
        self._emit(Phase.MICRO_STEP, sums, scalars)
        self.surroundings.first_micro_step(self._board.fired())
        self._close_inner_updates()

    def _emit_what_came_before(self) -> None:
        if self._pending is not None:
            phase, sums, seconds = self._pending
            self._emit(phase, sums, {}, seconds=seconds)
            self._pending = None
        hidden = [] if self._windows.fresh else self._board.hidden_resets()  # a reset is measured afresh
        if hidden:
            self._emit(Phase.EDIT, self._board.forget_before(hidden, self.unscaling), {})

    # ---- update ----

    def consume(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer.step()` begins: `p.grad` as it consumes it."""
        self._settle_updates()
        self.updates.consumed = None  # of a step that raised
        self._windows.consume(id(optimizer))
        if self._windows.recorded:
            self.updates.sample(slots)
            self.updates.open(self._update(optimizer, slots, self._take(slots, optimizer)))

    def consume_inside(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer.step()` inside a backward: its gradients may be freed before the backward ends."""
        self.updates.stepped_inside(optimizer, slots)
        if self._windows.recorded:
            self._board.keep(slots)
            if self._tally is not None:
                self._tally.count(slots, self._windows.update)

    def lost_backward(self) -> None:
        """A backward that failed, or of a window that is not recorded: what stepped inside it ends the window."""
        self._board.distrust()
        if (inner := self.updates.take_inner()) is not None:
            self._windows.consume(inner.optimizer)

    def _close_inner_updates(self) -> None:
        """One update for all optimizers that stepped inside this backward."""
        if (inner := self.updates.take_inner()) is None:
            return
        self._windows.consume(inner.optimizer)
        scalars, counted = (
            inner.rate | self.unscaling.scalars(),
            None if self._tally is None else self._tally.take(),
        )
        self._emit(Phase.UPDATE, self._board.moment_of_kept(), scalars, slots=inner.slots, counted=counted)

    def closure_begins(self, slots: list[int]) -> None:
        """`optimizer.step(closure)` begins: the weights are as they were."""
        self._settle_updates()
        self.updates.consumed = None
        if self._windows.recorded:
            self.updates.sample(slots)

    def closure_returned(self, optimizer: Optimizer, slots: list[int]) -> None:
        """A closure inside `optimizer.step(closure)` has returned; of several calls (LBFGS) the last one counts."""
        sums = self._take(slots, optimizer) if self._windows.recorded else None
        self.updates.consumed = lambda returned: self._close_after_closure(returned, slots, sums)

    def optimizer_returned(self, optimizer: Optimizer) -> None:
        """`optimizer.step()` is over: what it did to the weights is known now."""
        consumed, self.updates.consumed = self.updates.consumed, None
        if consumed is not None:
            consumed(optimizer)
        self._settle_updates(complete=True)

    def refused(self, optimizer: Optimizer, slots: list[int]) -> None:
        """A GradScaler did not call `optimizer.step()`: an update that did not happen."""
        self._settle_updates()
        self._windows.consume(id(optimizer))
        if self._windows.recorded:
            self.updates.open(self._update(optimizer, slots, self._take(slots, optimizer), refused=True))
            self._settle_updates()

    def _close_after_closure(self, optimizer: Optimizer, slots: list[int], sums: Sums | None) -> None:
        self._windows.consume(id(optimizer))
        if sums is not None and self._windows.recorded:
            self.updates.open(self._update(optimizer, slots, sums))

    def _take(self, slots: list[int], optimizer: Optimizer) -> Sums:
        self._board.look(slots, fresh=True, count_zeros=True)  # unscaling leaves no trace in the version
        if self._tally is not None:
            self._tally.count(slots, self._windows.update, optimizer)
        return self._board.moment_as_consumed(fused_scale(optimizer))

    def _update(self, optimizer: Optimizer, slots: list[int], sums: Sums, *, refused: bool = False) -> Update:
        self._pending = None
        self.surroundings.stepped(optimizer, slots)
        skipped = {"skipped": 1.0} if refused else self.updates.skipped(optimizer)
        scalars = learning_rate(optimizer) | self.unscaling.scalars() | skipped
        if self._accumulated is not None and not self._windows.fresh:
            scalars["clip_coefficient"] = coefficient(self._accumulated, sums, slots)
        rates = self.updates.rates(optimizer)
        counted = None if self._tally is None else self._tally.take()
        counted = None if refused else counted  # taken all the same: the next update is another
        return Update(slots, sums, scalars, self._windows.moment(), self._seconds(), rates, counted)

    def _settle_updates(self, *, complete: bool = False) -> None:
        """Emit the update whose optimizer has returned, or never will."""
        update = self.updates.close(complete=complete)
        if update is not None:
            place: dict[str, Any] = {"slots": update.slots, "seconds": update.seconds, "at": update.moment}
            self._emit(Phase.UPDATE, update.sums, update.scalars, counted=update.counted, **place)

    # ---- end ----

    def finish(self) -> None:
        """At close: what was left in `p.grad` after the last update."""
        self._settle_updates()
        if not self._windows.between or next(self._watched.alive(), None) is None:
            return
        self._windows.begin()
        if self._windows.recorded:
            self._board.begin(self.slots, fresh=True)
            self._emit(Phase.RESET, self._moment(), {})

    def _moment(self) -> Sums:
        return self._board.moment(self.unscaling)

    def _emit(
        self,
        phase: Phase,
        sums: Sums,
        scalars: dict[str, Scalar],
        *,
        slots: list[int] | None = None,
        seconds: float | None = None,
        at: Moment | None = None,
        counted: Counted | None = None,
    ) -> None:
        ids, numels = self._rows if slots is None else self._rows_of(slots)
        moment = self._windows.moment() if at is None else at
        micro_step = 0 if phase is Phase.RESET else moment.micro_step
        when = self._seconds() if seconds is None else seconds
        rows = sums if len(ids) == len(self._watched) else only(sums, ids)
        counts = None if counted is None else counts_of(counted, ids.tolist())
        place = self._event, moment.update, micro_step, phase, when
        self._writer.put(EventRecord(*place, ids, numels, rows, scalars, counts))
        self._event += 1

    def _rows_of(self, slots: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        if slots == self.slots:
            return self._rows
        ids = np.array(sorted(set(slots) & set(self.slots)), dtype=np.int32)
        return ids, self._watched.numels[ids]

    def _seconds(self) -> float:
        return time.monotonic() - self._began
