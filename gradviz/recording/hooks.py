"""Registers hooks. Each holds the recorder weakly and does nothing once it is gone, closed or in another process."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradviz.recording.fsdp import is_flattened
from gradviz.recording.untraced import untraced

if TYPE_CHECKING:
    from gradviz.recording.board import GradientBoard


class Handle(Protocol):
    """What torch returns for a registered hook."""

    def remove(self) -> None:
        """Take the hook away."""


class Gate:
    """Open between the begin and the end of a backward that is recorded; hooks hold it instead of the recorder."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = False


class NoHook:
    """Of a parameter that has none."""

    def remove(self) -> None:
        """Nothing to take away."""


# of recorders dropped without a close, or closed while torch may walk through them: without effect, and
# taken away with the next `watch`
_abandoned: list[Handle] = []
OURS = "_looks_at_gradients"  # an attribute of our step pre-hooks
_STEP = Optimizer.profile_hook_step(lambda _optimizer: None).__code__  # torch's frame around every `step`


class HookListener(Protocol):
    """Told by the hooks; never raises."""

    gate: Gate
    board: GradientBoard
    """Takes the gradients before they are added to `p.grad`. May raise."""

    def see_failed(self, error: Exception) -> None:
        """The board raised."""

    def before_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """An optimizer is about to take its step; may return other arguments."""

    def after_optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer's step has returned."""


def hook_gradient(listener: HookListener, slot: int, parameter: Tensor) -> Handle:
    """Tell `listener` of every gradient of `parameter`; the tensor hook returns None, so nothing changes.

    Not of those that FSDP1 has flattened: it hands over a gradient that is not the shard's.
    """
    if is_flattened(parameter):
        return NoHook()
    reference, gate, watched = weakref.ref(listener), listener.gate, weakref.ref(parameter)
    see, keep = listener.board.see, listener.board.keeper(slot)

    def seen(gradient: Tensor | None) -> None:
        if gate.open and gradient is not None:  # None: a custom function returned none
            try:
                # in here, for this is called for every parameter, and next to a real backward each call is a cold one
                if keep is not None and gradient.is_cpu and len(watched()._backward_hooks) == 1:  # type: ignore[union-attr, arg-type]
                    keep((slot, gradient))
                else:
                    see(slot, gradient)
            except Exception as error:  # P1: nothing of ours leaves a hook
                recorder = reference()
                if recorder is not None:
                    recorder.see_failed(error)
        elif reference() is None:
            handle.remove()  # dropped without a close

    seen.__torch_unserializable__ = True  # type: ignore[attr-defined]  # torch.save leaves it out without a warning
    handle: Handle = parameter.register_hook(seen)
    return handle


def hook_optimizers(listener: HookListener, optimizers: list[Optimizer]) -> list[Handle]:
    """Tell `listener` of the steps of `optimizers`; of all optimizers in the process where the list is empty."""
    reference = weakref.ref(listener)
    handles: list[Handle] = []
    given = bool(optimizers)

    @untraced  # a compiled `step` calls its hooks
    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        recorder = reference()
        if recorder is None:  # torch is walking through these hooks: to remove one now would raise in `step`
            _abandoned.extend(handles)
            handles.clear()
            return None
        return recorder.before_optimizer(optimizer, args, kwargs)

    @untraced
    def after(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        recorder = reference()
        if recorder is not None:
            recorder.after_optimizer(optimizer)
            if given:
                look_last(optimizer)

    setattr(before, OURS, True)
    _remove(_abandoned)
    if optimizers:
        for optimizer in optimizers:
            handles += [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    else:
        handles += [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    return handles


def look_last(optimizer: Optimizer) -> None:
    """Put our hook behind those that were registered since: what they change is consumed, too."""
    hooks = optimizer._optimizer_step_pre_hooks
    if not hooks or hasattr(next(reversed(hooks.values())), OURS):
        return
    for key in [key for key, hook in hooks.items() if hasattr(hook, OURS)]:
        hooks[key] = hooks.pop(key)


def remove_optimizer_hooks(handles: list[Handle], *, here: bool) -> None:
    """Take the hooks of `hook_optimizers` away; where a step may be walking through them, leave them without effect.

    To remove one then would raise out of that step. `here`: this is the thread that trains.
    """
    frame = sys._getframe() if here else None
    while frame is not None and frame.f_code is not _STEP:
        frame = frame.f_back
    if frame is not None or not here:
        _abandoned.extend(handles)
    else:
        _remove(list(handles))


def _remove(handles: list[Handle]) -> None:
    while handles:
        handles.pop().remove()
