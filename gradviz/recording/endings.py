"""How a recording ends: by whom, with which state, at the latest when the interpreter exits."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from gradviz.errors import WatchError
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


class Flushable(Protocol):
    """A writer that can be waited for."""

    def flush(self, timeout: float = ...) -> bool:
        """Wait until what was put is on disk."""


def close_at_exit(recorder: Closable) -> Callable[[], None]:
    """Close `recorder`, held weakly, when the interpreter exits; returns what takes that back."""
    reference = weakref.ref(recorder)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.end(*ending_of(getattr(sys, "last_type", None)))  # set by an uncaught exception

    atexit.register(close)
    return lambda: atexit.unregister(close)


def check_sigterm(wanted: object) -> None:
    """Raises WatchError for what `on_sigterm` cannot be, or where Python lets nobody listen to signals."""
    if wanted not in (None, "flush"):
        raise WatchError(f"gradviz.watch was given on_sigterm={wanted!r}. It takes 'flush' or nothing.")
    if wanted and threading.current_thread() is not threading.main_thread():
        raise WatchError("on_sigterm='flush' is for the main thread: Python lets no other listen to signals.")


def flush_at_sigterm(writer: Flushable) -> Callable[[], None]:
    """At SIGTERM write what is queued, then do as SIGTERM did before; returns what takes that back."""
    reference = weakref.ref(writer)
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL  # None where it is not Python's

    def flush(number: int, frame: FrameType | None) -> None:
        alive = reference()
        if alive is not None:
            alive.flush()
        if callable(before):
            before(number, frame)
        elif before is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def undo() -> None:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is flush:
            signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, flush)
    return undo


def shown(value: object) -> str:
    """What a value is, for a message: its type, and its shape if it has one."""
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")
