"""Turns moments of training into events: reset, micro-step, edit, update. Raises freely; the recorder guards."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from gradviz.recording.amp import Unscaling
from gradviz.recording.board import GradientBoard
from gradviz.recording.events import Events
from gradviz.recording.loss_usual import loss_scalars
from gradviz.recording.moments import Sums, coefficient
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import learning_rate
from gradviz.recording.surroundings import Surroundings
from gradviz.recording.tally import Tally
from gradviz.recording.turns import Loss
from gradviz.recording.updates import Update, UpdateBook, fused_scale
from gradviz.recording.windows import Windows
from gradviz.schema import Phase, Scalar
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
        self.board, self.distrust_each, self.reached = board, board.distrust_each, board.fired
        self.logged: dict[str, Scalar] = {}
        self.unscaling = unscaling
        self.surroundings = Surroundings(watched, writer.describe)
        self._watched, self._board, self._windows, self._writer = watched, board, windows, writer
        self.updates, self._tally = UpdateBook(watched), tally
        self._events = Events(watched, writer)
        self.add_slots = self._events.add_slots
        self._pending: tuple[Phase, Sums, float] | None = None
        self.loss = Loss({}, None)
        self._accumulated: Sums | None = None  # of the last micro-step: what an update is compared with

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
        if self.updates.under_way is not None:
            self._settle_updates()
        self._windows.begin()
        if not self._windows.recorded:
            self.logged = {}  # of a micro-step that is not recorded
            self.unscaling.scale = self.unscaling.begin(tensors)
            return False
        fresh = self._windows.fresh
        edited = self._board.begin(self._events.slots, fresh=fresh)
        if fresh or edited:
            # not an event yet: this backward may belong to another model
            self._pending = (Phase.RESET if fresh else Phase.EDIT, self._moment(), self._events.seconds())
        scale = self.unscaling.begin(tensors)
        self.loss = Loss(loss_scalars(tensors, gradient, scale), scale)
        return True

    def end_backward(self) -> None:
        """A `micro_step`, if this backward reached a watched parameter at all."""
        if not self._board.finish(self._events.slots) and not self.surroundings.counts_unseen():
            return
        if self._pending is not None or not self._windows.fresh:
            self._emit_what_came_before()
        self._windows.count()
        self.unscaling.scale = self.loss.scale
        if self.unscaling.active:
            self.unscaling.arrived(self._board.touched())
        scalars = {
            **self.loss.scalars, **self.surroundings.rate(), **self.unscaling.scalars(), **self.logged,
        }  # fmt: skip
        self.logged = {}
        sums = self._accumulated = self._board.moment_of_micro_step(self.unscaling)
        self._events.emit(Phase.MICRO_STEP, self._windows.moment(), sums, scalars)
        if not self.surroundings.told:
            self.surroundings.first_micro_step(self._board.fired())
        if self.updates.inner:
            self._close_inner_updates()

    def _emit_what_came_before(self) -> None:
        if self._pending is not None:
            phase, sums, seconds = self._pending
            self._events.emit(phase, self._windows.moment(), sums, {}, seconds=seconds)
            self._pending = None
        hidden = [] if self._windows.fresh else self._board.hidden_resets()  # a reset is measured afresh
        if hidden:
            sums = self._board.forget_before(hidden, self.unscaling)
            self._events.emit(Phase.EDIT, self._windows.moment(), sums, {})

    # ---- update ----

    def consume(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer.step()` begins: `p.grad` as it consumes it."""
        self._settle_updates()
        self.updates.consumed = None  # of a step that raised
        self._windows.consume(id(optimizer))
        if self._windows.recorded:
            rates = self.updates.rates(optimizer)
            self.updates.sample(slots, rates.keys())
            self.updates.open(self._update(optimizer, slots, self._take(slots, optimizer), rates))

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
        moment, sums = self._windows.moment(), self._board.moment_of_kept()
        self._events.emit(Phase.UPDATE, moment, sums, scalars, slots=inner.slots, counted=counted)

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
            rates = self.updates.rates(optimizer)
            self.updates.open(
                self._update(optimizer, slots, self._take(slots, optimizer), rates, refused=True)
            )
            self._settle_updates()

    def _close_after_closure(self, optimizer: Optimizer, slots: list[int], sums: Sums | None) -> None:
        self._windows.consume(id(optimizer))
        if sums is not None and self._windows.recorded:
            self.updates.open(self._update(optimizer, slots, sums, self.updates.rates(optimizer)))

    def _take(self, slots: list[int], optimizer: Optimizer) -> Sums:
        self._board.look(slots, fresh=True, count_zeros=True)  # unscaling leaves no trace in the version
        if self._tally is not None:
            self._tally.count(slots, self._windows.update, optimizer)
        return self._board.moment_as_consumed(fused_scale(optimizer))

    def _update(self, optimizer: Optimizer, slots: list[int], sums: Sums, rates: dict[int, float], *,
                refused: bool = False) -> Update:  # fmt: skip
        self._pending = None
        self.surroundings.stepped(optimizer, slots)
        skipped = {"skipped": 1.0} if refused else self.updates.skipped(optimizer)
        scalars = learning_rate(optimizer) | self.unscaling.scalars() | skipped
        if self._accumulated is not None and not self._windows.fresh:
            scalars["clip_coefficient"] = coefficient(self._accumulated, sums, slots)
        counted = None if self._tally is None else self._tally.take()
        counted = None if refused else counted  # taken all the same: the next update is another
        return Update(slots, sums, scalars, self._windows.moment(), self._events.seconds(), rates, counted)

    def _settle_updates(self, *, complete: bool = False) -> None:
        """Emit the update whose optimizer has returned, or never will."""
        closed = self.updates.close(complete=complete)
        if closed is not None:
            update, sums = closed
            self._events.emit(
                Phase.UPDATE, update.moment, sums, update.scalars,
                slots=update.slots, seconds=update.seconds, counted=update.counted,
            )  # fmt: skip

    # ---- end ----

    def finish(self) -> None:
        """At close: what was left in `p.grad` after the last update."""
        self._settle_updates()
        if not self._windows.between or next(self._watched.alive(), None) is None:
            return
        self._windows.begin()
        if self._windows.recorded:
            self._board.begin(self._events.slots, fresh=True)
            self._events.emit(Phase.RESET, self._windows.moment(), self._moment(), {})

    def _moment(self) -> Sums:
        return self._board.moment(self.unscaling)
