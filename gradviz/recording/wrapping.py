"""Functions of torch that are wrapped while anything is watched, and restored with the last recorder.

Others may wrap them as well, before or after us: each wrapper keeps what it found, and is taken away
only where it is still the outermost one.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from gradviz.recording.untraced import untraced

L = TypeVar("L")
Function = tuple[Any, str, Callable[[Any], Any]]  # owner, name, and what makes the wrapper of the original


class Wrapping(Generic[L]):
    """Wraps `owner.name` for each `(owner, name, make)` while it has a listener; holds listeners weakly.

    `make` takes the original function and returns its wrapper, made with `functools.wraps`.
    """

    def __init__(self, *functions: Function) -> None:
        self._functions = functions
        self._installed: dict[tuple[Any, str], Any] = {}
        self._listeners: list[weakref.ref[Any]] = []
        self._lock = threading.RLock()

    def add(self, listener: L) -> None:
        """Tell `listener` until it is removed or dies."""
        with self._lock:
            self._listeners.append(weakref.ref(listener))
            self.extend(self._functions)

    def extend(self, functions: Iterable[Function]) -> None:
        """Wrap these, too, until the last listener has gone."""
        with self._lock:
            for owner, name, make in functions:
                found = getattr(owner, name)
                if found is not self._installed.get((owner, name)):
                    wrapper: Any = untraced(make(found))
                    wrapper.__wrapped__ = found
                    self._installed[owner, name] = wrapper
                    setattr(owner, name, wrapper)

    def remove(self, listener: L | None) -> None:
        """Forget `listener` and the dead ones; with the last of them torch is as it was."""
        with self._lock:
            self._listeners[:] = [
                ref for ref in self._listeners if ref() is not None and ref() is not listener
            ]
            if self._listeners:
                return
            for (owner, name), installed in list(self._installed.items()):
                if getattr(owner, name) is installed:
                    setattr(owner, name, installed.__wrapped__)
                    del self._installed[owner, name]

    def listeners(self) -> list[L]:
        """Those that are alive; where all were dropped without a close, torch is restored."""
        alive = [listener for ref in self._listeners if (listener := ref()) is not None]
        if not alive:
            self.remove(None)
        return alive
