"""Sees the begin and the end of every outermost backward pass, whoever calls it.

`Tensor.backward`, scaled losses, lists of losses and compiled models all go through the one function
`torch.autograd.backward`. While anything is watched it is wrapped; a nested call on the same thread
(re-entrant checkpointing) belongs to the outer one, and `torch.autograd.grad` does not pass here.
"""

from __future__ import annotations

from functools import wraps
from threading import get_ident
from typing import Any, Protocol

import torch

from gradviz.recording.wrapping import Wrapping


class BackwardListener(Protocol):
    """Told of every outermost backward pass; never raises."""

    def begin_backward(self, tensors: Any, gradient: Any) -> None:
        """Before the first gradient: the roots of the graph, still alive, and the gradient given for them."""

    def end_backward(self, completed: bool) -> None:
        """After the last gradient; `completed` is False where the pass raised."""


_inside: set[int] = set()  # the threads that are in one


def listen(listener: BackwardListener) -> None:
    """Tell `listener`, held weakly, of every backward pass until `unlisten` or its death."""
    _wrapping.add(listener)


def unlisten(listener: BackwardListener) -> None:
    """Forget `listener`; with the last one torch is as it was."""
    _wrapping.remove(listener)


def _watching(original: Any) -> Any:
    @wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        thread = get_ident()
        if thread in _inside or torch._C._current_graph_task_id() != -1:  # nested
            return original(*args, **kwargs)
        listeners = _wrapping.listeners()
        if not listeners:
            return original(*args, **kwargs)
        tensors = args[0] if args else kwargs.get("tensors")
        gradient = args[1] if len(args) > 1 else kwargs.get("grad_tensors")
        completed = False
        _inside.add(thread)
        try:
            for listener in listeners:
                listener.begin_backward(tensors, gradient)
            outcome = original(*args, **kwargs)
            completed = True
            return outcome
        finally:
            _inside.discard(thread)
            for listener in listeners:
                listener.end_backward(completed)

    return backward


_wrapping: Wrapping[BackwardListener] = Wrapping((torch.autograd, "backward", _watching))
