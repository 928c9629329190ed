"""Mixed precision: which gradients carry the factor of a GradScaler, and which updates it refused.

The scaler need not be handed over. While anything is watched, `scale`, `unscale_` and `step` of
`torch.amp.GradScaler` are wrapped, and those of its subclasses (FSDP's `ShardedGradScaler` has its own): they
say which backward is scaled, by how much, from when on an optimizer's gradients are as they are, and whether
the optimizer was called at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import Optimizer

from gradviz.recording.scalars import read_scalar, scalar_of
from gradviz.recording.scaled_losses import find, mark
from gradviz.recording.wrapping import Function, Wrapping
from gradviz.schema import (
    L1,
    MAX,
    MICRO_L1,
    MICRO_MAX,
    MICRO_SQUARES,
    PREVIOUS_SQUARES,
    SQUARES,
    Scalar,
)

LINEAR = np.array([L1, MAX, MICRO_L1, MICRO_MAX])
SQUARED = np.array([SQUARES, MICRO_SQUARES, PREVIOUS_SQUARES])
Sums = NDArray[np.float64]


class ScalerListener(Protocol):
    """Told of a GradScaler's doings; never raises."""

    def loss_scaled(self, scaled: Any, scale: Scalar | None) -> None:
        """The loss of the next backward was multiplied by `scale`, which gave `scaled`."""

    def gradients_unscaled(self, optimizer: Optimizer) -> None:
        """The gradients of `optimizer` were divided by the scale."""

    def before_scaler(self, _optimizer: Optimizer) -> None:
        """`scaler.step(optimizer)` begins."""

    def after_scaler(self, optimizer: Optimizer, completed: bool) -> None:
        """`scaler.step(optimizer)` is over; where it raised nothing and the optimizer did not run, it was refused."""


def listen(listener: ScalerListener) -> None:
    """Tell `listener`, held weakly, of every GradScaler until `unlisten` or its death."""
    _wrapping.add(listener)
    for scaler in _subclasses(torch.amp.GradScaler):
        _wrapping.extend(_own_functions(scaler))


def unlisten(listener: ScalerListener) -> None:
    """Forget `listener`; with the last one torch is as it was."""
    _wrapping.remove(listener)


def _scaling(original: Any) -> Any:
    @wraps(original)
    def scale(self: Any, outputs: Any) -> Any:
        scaled = original(self, outputs)
        factor = scalar_of(getattr(self, "_scale", None)) if _enabled(self) else None
        for listener in _wrapping.listeners():
            listener.loss_scaled(scaled, factor)
        return scaled

    return scale


def _unscaling(original: Any) -> Any:
    @wraps(original)
    def unscale_(self: Any, optimizer: Any) -> Any:
        outcome = original(self, optimizer)
        if _enabled(self):
            for listener in _wrapping.listeners():
                listener.gradients_unscaled(optimizer)
        return outcome

    return unscale_


def _stepping(original: Any) -> Any:
    @wraps(original)
    def step(self: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if not _enabled(self):
            return original(self, optimizer, *args, **kwargs)
        listeners = _wrapping.listeners()
        for listener in listeners:
            listener.before_scaler(optimizer)
        completed = False
        try:
            outcome = original(self, optimizer, *args, **kwargs)
            completed = True
            return outcome
        finally:
            for listener in listeners:
                listener.after_scaler(optimizer, completed)

    return step


def _enabled(scaler: Any) -> bool:
    return bool(getattr(scaler, "_enabled", True))


def _creating(original: Any) -> Any:
    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - takes its place
        original(self, *args, **kwargs)
        for scaler in type(self).__mro__:  # a class that was not there when the last `watch` looked
            if scaler is not torch.amp.GradScaler and issubclass(scaler, torch.amp.GradScaler):
                _wrapping.extend(_own_functions(scaler))

    return __init__


_MAKERS = {"scale": _scaling, "unscale_": _unscaling, "step": _stepping}


def _own_functions(scaler: type[Any]) -> list[Function]:
    return [(scaler, name, make) for name, make in _MAKERS.items() if name in vars(scaler)]


def _subclasses(scaler: type[Any]) -> Iterable[type[Any]]:
    for one in scaler.__subclasses__():
        yield one
        yield from _subclasses(one)


_wrapping: Wrapping[ScalerListener] = Wrapping(
    *_own_functions(torch.amp.GradScaler), (torch.amp.GradScaler, "__init__", _creating)
)


def _is_foreign(scaler: Any) -> bool:
    """Whether a scaler given by the user is of a make whose `scale` does not pass through ours."""
    return scaler is not None and not isinstance(scaler, torch.amp.GradScaler)


class Unscaling:
    """Which rows of the board still carry the scale: the board measures what stands in `p.grad`."""

    def __init__(self, count: int, scaler: Any = None) -> None:
        self.scale: Scalar | None = None  # of the last backward that reached the model
        self._asked = scaler if _is_foreign(scaler) else None
        self.active = False  # whether a loss was ever scaled
        self._next: Scalar | None = None
        self.start(count)

    def start(self, count: int) -> None:
        """No row of `count` carries a scale."""
        self._carry = np.zeros(count, dtype=bool)

    def announce(self, scaled: Any, scale: Scalar | None) -> None:
        """A loss was multiplied by `scale`, which gave `scaled`: a backward through it is scaled."""
        self._next = None
        if scale is not None:
            self.active = True
            self._next = None if mark(scaled, scale) else scale

    def begin(self, tensors: Any = None) -> Scalar | None:
        """The scale of a backward of `tensors`, which begins; where the graph cannot tell, that of the last loss."""
        asked = None if self._asked is None else scalar_of(getattr(self._asked, "_scale", None))
        presumed, self._next = asked if self._next is None else self._next, None
        marked = find(tensors) if self.active else None
        self.active = self.active or asked is not None
        return presumed if marked is None else marked

    def scalars(self) -> dict[str, Scalar]:
        """`amp_scale` of the last backward, where its loss was scaled."""
        return {} if self.scale is None else {"amp_scale": self.scale}

    def arrived(self, slots: Iterable[int]) -> None:
        """The backward reached these slots."""
        self._carry[list(slots)] = self.scale is not None

    def removed(self, slots: list[int]) -> None:
        """The gradients of these slots were divided by the scale."""
        self._carry[slots] = False

    def remover(self) -> Callable[[Sums], Sums] | None:
        """What takes the scale out of sums as they stand now; None where none carries it."""
        scale = self.scale
        if scale is None or not self._carry.any():
            return None
        rows = np.flatnonzero(self._carry)
        return lambda sums: unscaled(sums, rows, scale)


def unscaled(sums: Sums, rows: NDArray[np.intp], scale: Scalar) -> Sums:
    """`sums` [slots, SUMS_WIDTH] with `rows` divided by `scale`, in place."""
    factor = read_scalar(scale)
    sums[np.ix_(rows, LINEAR)] /= factor
    sums[np.ix_(rows, SQUARED)] /= factor**2
    return sums
