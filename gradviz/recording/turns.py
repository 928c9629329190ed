"""Whose backward is the model's, where several threads are in one at the same time."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, NamedTuple, Protocol

from gradviz.schema import Scalar


class Loss(NamedTuple):
    """What was known of a backward when it began: numbers of its loss, and the scale of a GradScaler."""

    scalars: dict[str, Scalar]
    scale: Scalar | None


class Looks(Protocol):
    """What the turns ask of the observer."""

    reached: Callable[[], list[int]]
    """The slots whose gradients have arrived in the backward under way."""
    loss: Loss
    """Of the backward that began last."""


class Turns:
    """One backward alone is the model's; of several, the first that brings a gradient. The others never were.

    Only while there are several do the hooks ask, each for its own thread, by the truth of this object.
    A gradient of an accelerator comes on a thread of torch's and tells nobody's turn: there the
    backward that began first has it.
    """

    def __init__(self) -> None:
        self.recorded = False
        self._began: dict[
            int, Loss | None
        ] = {}  # threads in a backward, oldest first; None: the observer's own
        self._bringer: int | None = None

    def enter(self, observer: Looks) -> bool:
        """This thread begins a backward. False where that of another one has reached the model already."""
        if not self._began:
            self.recorded = False
        else:
            if self._bringer is not None or (self.recorded and observer.reached()):
                return False
            last = next(reversed(self._began))
            self._began[last] = self._began[last] or observer.loss
        self._began[get_ident()] = None
        return True

    def gate(self, *, recorded: bool) -> Any:
        """What lets gradients through: nothing, all, or this object, which tells by the thread."""
        self.recorded = recorded
        return self if recorded and len(self._began) > 1 else recorded

    def __bool__(self) -> bool:
        thread = get_ident()
        if self._bringer is None and thread in self._began:
            self._bringer = thread
        return self._bringer in (None, thread) or thread not in self._began

    def inside(self) -> bool:
        """Whether this thread is in a backward that may be the model's."""
        return get_ident() in self._began

    def leave(self, observer: Looks) -> bool:
        """This thread's backward is over. False where it was not the model's."""
        thread, oldest = get_ident(), next(iter(self._began), None)
        loss = self._began.pop(thread, None)
        if not self._began and thread == oldest:  # the usual case, in short
            self._bringer = None
            observer.loss = loss or observer.loss
            return True
        if thread != (oldest if self._bringer is None else self._bringer):
            return False
        self._began = {other: its or observer.loss for other, its in self._began.items()}
        observer.loss = loss or observer.loss
        if self._bringer is not None or (self._began and observer.reached()):
            self._began.clear()
            self._bringer = None
        return True

    def rest(self) -> bool:
        """What lets gradients through for those that are still in theirs."""
        return self.recorded and bool(self._began)
