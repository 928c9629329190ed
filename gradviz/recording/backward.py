"""Sees the begin and the end of every outermost backward pass, whoever calls it.

`Tensor.backward`, scaled losses, lists of losses and compiled models all go through the one function
`torch.autograd.backward`. While anything is watched it is wrapped; a nested call on the same thread
(re-entrant checkpointing) belongs to the outer one, and `torch.autograd.grad` does not pass here.
"""

from __future__ import annotations

import threading
import weakref
from functools import wraps
from typing import Any, Protocol

import torch


class BackwardListener(Protocol):
    """Told of every outermost backward pass; never raises."""

    def begin_backward(self, tensors: Any) -> None:
        """Before the first gradient: the roots of the graph, still alive."""

    def end_backward(self, completed: bool) -> None:
        """After the last gradient; `completed` is False where the pass raised."""


_thread = threading.local()
_listeners: list[weakref.ref[BackwardListener]] = []
_lock = threading.Lock()
_installed: Any = None


def listen(listener: BackwardListener) -> None:
    """Tell `listener`, held weakly, of every backward pass until `unlisten` or its death."""
    global _installed
    with _lock:
        _listeners.append(weakref.ref(listener))
        if torch.autograd.backward is not _installed:
            _installed = _watching(torch.autograd.backward)
            torch.autograd.backward = _installed


def unlisten(listener: BackwardListener | None) -> None:
    """Forget `listener` and the dead ones; with the last of them torch is as it was."""
    with _lock:
        _listeners[:] = [ref for ref in _listeners if ref() is not None and ref() is not listener]
        if not _listeners and torch.autograd.backward is _installed:
            torch.autograd.backward = _installed.__wrapped__  # type: ignore[attr-defined]  # set by `wraps`


def _watching(original: Any) -> Any:
    # each wrapper keeps what it wraps: others may have wrapped ours in between
    @wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if getattr(_thread, "inside", False) or torch._C._current_graph_task_id() != -1:  # nested
            return original(*args, **kwargs)
        listeners = [listener for ref in _listeners if (listener := ref()) is not None]
        if not listeners:
            unlisten(None)  # the recorders were dropped without a close
            return original(*args, **kwargs)
        tensors = args[0] if args else kwargs.get("tensors")
        _thread.inside, completed = True, False
        try:
            for listener in listeners:
                listener.begin_backward(tensors)
            outcome = original(*args, **kwargs)
            completed = True
            return outcome
        finally:
            _thread.inside = False
            for listener in listeners:
                listener.end_backward(completed)

    return backward
