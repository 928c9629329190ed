"""Registers hooks. Each holds the recorder weakly and does nothing once it is gone, closed or in another process."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)


class Handle(Protocol):
    """What torch returns for a registered hook."""

    def remove(self) -> None:
        """Take the hook away."""


class HookListener(Protocol):
    """Told by the hooks; never raises."""

    inside: bool  # between the begin and the end of a backward that is recorded

    def see_gradient(self, slot: int, gradient: Tensor) -> None:
        """A parameter's gradient has arrived, before it is added to `p.grad`."""

    def before_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer is about to take its step; may return other arguments."""

    def after_optimizer(self) -> None:
        """An optimizer's step has returned."""


def hook_gradient(listener: HookListener, slot: int, parameter: Tensor) -> Handle:
    """Tell `listener` of every gradient of `parameter`; the tensor hook returns None, so nothing changes."""
    reference = weakref.ref(listener)

    def seen(gradient: Tensor | None) -> None:
        recorder = reference()
        if recorder is None:
            handle.remove()  # dropped without a close
        elif recorder.inside and gradient is not None:  # None: a custom function returned none
            recorder.see_gradient(slot, gradient)

    handle: Handle = parameter.register_hook(seen)
    return handle


def hook_optimizers(listener: HookListener, optimizers: list[Optimizer]) -> list[Handle]:
    """Tell `listener` of the steps of `optimizers`; of all optimizers in the process where the list is empty."""
    reference = weakref.ref(listener)
    handles: list[Handle] = []

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        recorder = reference()
        if recorder is None:
            _remove(handles)
            return None
        return recorder.before_optimizer(optimizer, args, kwargs)

    def after(_optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        recorder = reference()
        if recorder is not None:
            recorder.after_optimizer()

    if optimizers:
        for optimizer in optimizers:
            handles += [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    else:
        handles += [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    return handles


def _remove(handles: list[Handle]) -> None:
    while handles:
        handles.pop().remove()
