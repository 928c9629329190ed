"""The recorder: stands between the hooks and the observer, and lets nothing of ours reach the training loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from gradviz.recording import amp, backward
from gradviz.recording.announcing import findings_of
from gradviz.recording.endings import close_at_exit, ending_of, flush_at_sigterm, shown
from gradviz.recording.guard import Guard, warn
from gradviz.recording.hooks import Gate, Handle, hook_gradient, hook_optimizers, remove_optimizer_hooks
from gradviz.recording.inert import Recorder
from gradviz.recording.observer import Observer
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import scalar_of
from gradviz.recording.turns import Turns
from gradviz.schema import RunState, Scalar
from gradviz.store import forks
from gradviz.store.writer import RunWriter

if TYPE_CHECKING:
    from gradviz.diagnostics import Finding


class ActiveRecorder(Recorder):
    """Records into one run. Hooks hold it weakly, so that reference counts alone free it."""

    def __init__(self, watched: WatchedParameters, observer: Observer, writer: RunWriter) -> None:
        self.run_path = writer.path
        self.watched = watched
        self.closed = False
        self.gate = Gate()
        self.board = observer.board
        self._observer, self._writer = observer, writer
        self._guard = Guard(writer.note_error)
        self._generation = forks.generation
        self._trained_on = threading.get_ident()  # the thread that took the last step
        self._turns = Turns()
        self._stepping: tuple[int, frozenset[int]] | None = (
            None  # optimizer (its id) and slots of a step under way
        )
        self._given: set[int] = set()  # ids of the optimizers that are hooked; of all where it is empty
        self._ran: set[int] = set()  # ids of those that the last `scaler.step` called
        self._handles: dict[int, Handle] = {}
        self._optimizer_handles: list[Handle] = []
        self._at_end: list[Callable[[], None]] = []

    def attach(self, optimizers: list[Optimizer], *, at_sigterm: bool = False) -> None:
        """Register every hook; with no optimizer, notice any that owns a watched parameter."""
        self._thaw()
        self._optimizer_handles = hook_optimizers(self, optimizers)
        self._given = set(map(id, optimizers))
        for optimizer in optimizers:
            self._observer.surroundings.stepped(optimizer, self.watched.slots_of(optimizer))
        backward.listen(self)
        amp.listen(self)
        self._at_end = [close_at_exit(self), *([flush_at_sigterm(self._writer)] if at_sigterm else [])]

    def _thaw(self) -> None:
        """Hook the parameters that allow it now; frozen ones refuse until they are unfrozen, new ones may have come."""
        if self.watched.met_strangers:
            self._observer.grow()
        thawed = [(s, p) for s, p in self.watched.alive() if s not in self._handles and p.requires_grad]
        for slot, parameter in thawed:
            self._handles[slot] = hook_gradient(self, slot, parameter)
        if thawed:
            self._observer.add_slots([slot for slot, _ in thawed])

    def _idle(self) -> bool:
        return self.closed or self._guard.disabled or forks.generation != self._generation

    # ---- told by the hooks; none of these raises ----

    def begin_backward(self, tensors: Any, gradient: Any) -> None:
        """An outermost backward is about to begin."""
        if self._idle() or not self._turns.enter(self._observer):
            return
        self._stepping = None
        try:
            if len(self._handles) < len(self.watched) or self.watched.met_strangers:
                self._thaw()
            self.gate.open = self._turns.gate(recorded=self._observer.begin_backward(tensors, gradient))
        except Exception as error:  # P1: nothing of ours leaves a hook
            self._guard.failed(error)

    def see_failed(self, error: Exception) -> None:
        """A gradient could not be measured."""
        self._guard.failed(error)

    def end_backward(self, completed: bool) -> None:
        """The outermost backward is over; what a failed one left in `p.grad` is seen at the next look."""
        if not self._turns.leave(self._observer):
            return
        recorded, self.gate.open = self._turns.recorded, self._turns.rest()
        if self.closed:
            return
        try:
            if completed and recorded:
                self._observer.end_backward()
                self._guard.passed()
            elif recorded or self._observer.updates.inner:
                self._observer.lost_backward()
        except Exception as error:
            self._guard.failed(error)

    def before_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer is about to take its step; a closure is wrapped, for its gradient is consumed after it."""
        if self._idle():
            return None
        slots = self._slots_of(optimizer)
        if not slots:
            return None  # another model's
        if self._turns.inside():
            self._guard(self._observer.consume_inside, optimizer, slots)
            return None
        self._ran.add(id(optimizer))
        self._trained_on = threading.get_ident()
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):  # none, or an argument of another kind (`step(loss)`)
            # else a subclass whose step calls its parent's, or a wrapper whose step calls another's: one update
            if self._stepping is None or not self._stepping[1].issuperset(slots):
                self._stepping = id(optimizer), frozenset(slots)
                self._guard(self._observer.consume, optimizer, slots)
            return None
        self._guard(self._observer.closure_begins, slots)
        watched = self._watched_closure(closure, optimizer, slots)
        return (
            ((args[0], watched, *args[2:]), kwargs)
            if len(args) > 1
            else (args, {**kwargs, "closure": watched})
        )

    def _watched_closure(self, closure: Callable[[], Any], optimizer: Optimizer, slots: list[int]) -> Any:
        def watched() -> Any:
            outcome = closure()
            self._guard(self._observer.closure_returned, optimizer, slots)
            return outcome

        return watched

    def after_optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer's step has returned; one inside another's, or another model's, ends no update."""
        if self._idle() or self._turns.inside():
            return
        stepping = self._stepping
        if stepping is None or stepping[0] != id(optimizer):
            slots = self._slots_of(optimizer)
            if not slots or (stepping is not None and stepping[1].issuperset(slots)):
                return
        self._stepping = None
        self._guard(self._observer.optimizer_returned, optimizer)

    def _slots_of(self, optimizer: Optimizer) -> list[int]:
        try:
            return self.watched.slots_of(optimizer)
        except Exception as error:  # an optimizer may be anything
            self._guard.failed(error)
            return []

    def loss_scaled(self, scaled: Any, scale: Scalar | None) -> None:
        if not self._idle():
            self._guard(self._observer.unscaling.announce, scaled, scale)

    def gradients_unscaled(self, optimizer: Optimizer) -> None:
        if not self._idle():
            slots = self._slots_of(optimizer)
            self._guard(self._observer.unscaling.removed, slots)
            self._guard(self._observer.distrust_each, slots)  # unscaling leaves no trace in the versions

    def before_scaler(self, _optimizer: Optimizer) -> None:
        self._ran, self._observer.updates.under_scaler = set(), True

    def after_scaler(self, optimizer: Optimizer, completed: bool) -> None:
        self._observer.updates.under_scaler = False
        if not completed or self._idle() or id(optimizer) in self._ran:
            return
        if self._given and id(optimizer) not in self._given:
            return  # its step is not hooked
        self._ran.add(id(optimizer))  # where our wrapper came to stand twice in the chain, it is told once
        slots = self._slots_of(optimizer)
        if slots:
            self._guard(self._observer.refused, optimizer, slots)

    # ---- called by the user ----

    def log(self, **scalars: float | Tensor) -> None:
        if self.closed:
            warn(f"recorder.log was called after the recorder was closed; {sorted(scalars)} is not recorded.")
        elif not self._idle():
            self._guard(self._log, scalars)

    def findings(self) -> list[Finding]:
        return findings_of(self._writer)

    def _log(self, scalars: dict[str, Any]) -> None:
        for name, value in scalars.items():
            scalar = scalar_of(value)
            if scalar is None:
                warn(
                    f"recorder.log({name}=...) takes a number or a tensor of one number, not {shown(value)}."
                )
            else:
                self._observer.logged[name] = scalar

    def close(self) -> None:
        self.end(RunState.FINISHED)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(*ending_of(kind))

    def supersede(self) -> None:
        """The same model is watched again: this run ends here."""
        self.end(RunState.SUPERSEDED, "the same model was watched again")

    def end(self, state: RunState, reason: str | None = None) -> None:
        """Write what is left, remove every hook, say how the run ended. Only the first call counts."""
        if self.closed or forks.generation != self._generation:
            return
        if not self._guard.disabled:
            self._guard(self._observer.finish)
        self.closed = True
        self._detach()
        self._guard(self._close_writer, state, reason)

    def _close_writer(self, state: RunState, reason: str | None) -> None:
        missing = self._writer.close(state, reason=reason)
        if missing:
            warn(f"{missing} events were not written to {self.run_path}.")

    def _detach(self) -> None:
        backward.unlisten(self)
        amp.unlisten(self)
        for handle in self._handles.values():
            handle.remove()
        remove_optimizer_hooks(self._optimizer_handles, here=threading.get_ident() == self._trained_on)
        self._handles, self._optimizer_handles = {}, []
        for undo in self._at_end:
            undo()
