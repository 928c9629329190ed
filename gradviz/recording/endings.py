"""How a recording ends: by whom, with which state, at the latest when the interpreter exits."""

from __future__ import annotations

import atexit
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

from gradviz.schema import RunState


class Closable(Protocol):
    """A recorder that can be ended."""

    def end(self, state: RunState, reason: str | None = None) -> None:
        """End the run."""


def ending_of(kind: type[BaseException] | None) -> tuple[RunState, str | None]:
    """State and reason of a run that the exception `kind`, or none, ended."""
    if kind is None:
        return RunState.FINISHED, None
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return RunState.STOPPED, kind.__name__
    return RunState.CRASHED, kind.__name__


def close_at_exit(recorder: Closable) -> Callable[[], None]:
    """Close `recorder`, held weakly, when the interpreter exits; returns what was registered."""
    reference = weakref.ref(recorder)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.end(*ending_of(getattr(sys, "last_type", None)))  # set by an uncaught exception

    atexit.register(close)
    return close


def shown(value: object) -> str:
    """What a value is, for a message: its type, and its shape if it has one."""
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")
