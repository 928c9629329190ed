"""What others do on the writer's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradviz.schema import EventRecord
from gradviz.store.statistics import Floats

Note = Callable[[str], None]


class Callbacks(NamedTuple):
    """Called on the writer's thread; what they raise is noted. None of them may hold the writer strongly."""

    on_tick: Callable[[], None] | None = None
    """Before each flush."""
    on_batch: Callable[[Sequence[EventRecord], Sequence[Floats]], None] | None = None
    """After events were written: they, and their sums."""
    on_end: Callable[[], None] | None = None
    """After the last event was written."""


class TakenOver(BaseException):
    """Another thread does the work of this one, which was in a callback for too long."""


class Calls:
    """Calls others' functions; whatever they raise costs only themselves, and a `note`."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._lock = threading.Lock()
        self._ticking = False

    def call(self, name: str, note: Note, *given: object) -> None:
        """Call the function of this name, if there is one."""
        callback = getattr(self._callbacks, name)
        if callback is not None:
            try:
                callback(*given)
            except BaseException as error:  # SystemExit too: it would end this thread and nothing else
                note(f"{name}: {type(error).__name__}: {error}")

    def tick(self, note: Note) -> None:
        """Call `on_tick`. Raises TakenOver where `take_over` was called in the meantime."""
        self._ticking = True
        self.call("on_tick", note)
        with self._lock:
            if not self._ticking:
                raise TakenOver
            self._ticking = False

    def take_over(self, note: Note) -> bool:
        """Whether `on_tick` is running: then its thread will end when it returns, and nothing else is called."""
        with self._lock:
            taken, self._ticking = self._ticking, False
        if taken:
            self._callbacks = Callbacks()
            note("on_tick did not return in time: the run was ended without it")
        return taken
