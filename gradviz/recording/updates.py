"""Updates between the begin and the end of `optimizer.step()`."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from gradviz.recording.moments import Moment, Sums
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import learning_rate, scalar_of
from gradviz.recording.steps import StepGauge, exact_steps, write_exact_steps
from gradviz.recording.tally import Counted
from gradviz.schema import Scalar


class Update(NamedTuple):
    """What an optimizer consumes, as it was when its step began; `rates` as of `exact_steps`, `counted` of `Tally`."""

    slots: list[int]
    sums: Sums
    scalars: dict[str, Scalar]
    moment: Moment
    seconds: float
    rates: dict[int, float]
    counted: Counted | None = None


class Inner(NamedTuple):
    """An optimizer (its id) that stepped inside a backward, with its `lr`."""

    optimizer: int
    rate: dict[str, Scalar]
    slots: list[int]


class UpdateBook:
    """The update that is under way, and what is needed to complete it."""

    def __init__(self, watched: WatchedParameters) -> None:
        self.inner: list[Inner] = []  # stepped inside the backward that is running
        self.consumed: Callable[[Optimizer], None] | None = None  # what a closure has brought
        self.under_scaler = False
        self._watched, self._gauge = watched, StepGauge(watched)
        self.under_way: Update | None = None

    def stepped_inside(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer` steps inside a backward."""
        self.inner.append(Inner(id(optimizer), learning_rate(optimizer), slots))

    def take_inner(self) -> Inner | None:
        """All that stepped inside the last backward as one, under the first one's name; None where none did."""
        inner, self.inner = self.inner, []
        slots = sorted({slot for one in inner for slot in one.slots})
        return inner[0]._replace(slots=slots) if inner else None

    def sample(self, slots: list[int], exact: Set[int] = frozenset()) -> None:
        """Keep samples of the weights as they are before the step; the step of the `exact` slots is known."""
        self._gauge.before(slots, exact)

    def open(self, update: Update) -> None:
        """The step has begun."""
        self.under_way = update

    def close(self, *, complete: bool) -> tuple[Update, Sums] | None:
        """The update that was under way, if any; its sums with the size of its step where that has been completed."""
        update, self.under_way = self.under_way, None
        if update is None or not complete:
            return None if update is None else (update, update.sums)
        return update, _with_steps(update.sums, self._gauge.after(), update.rates)

    def rates(self, optimizer: Optimizer) -> dict[int, float]:
        """Learning rates of the slots whose step follows from the gradient exactly."""
        return {} if fused_scale(optimizer) is not None else exact_steps(optimizer, self._watched)

    def skipped(self, optimizer: Optimizer) -> dict[str, Scalar]:
        """`skipped` of an update that runs: 0, or what a fused optimizer finds out on its device."""
        found = getattr(optimizer, "found_inf", None)
        if isinstance(found, Tensor):
            value = scalar_of(found)
            return {} if value is None else {"skipped": _flag(value)}
        return {"skipped": 0.0} if self.under_scaler else {}


def fused_scale(optimizer: Optimizer) -> Scalar | None:
    """The scale that a fused optimizer removes inside its own kernel; None where gradients are as they are."""
    return scalar_of(getattr(optimizer, "grad_scale", None))


def _flag(value: Scalar) -> Scalar:
    if callable(value):
        return lambda: float(value() != 0)
    return float(value != 0)


def _with_steps(
    sums: Sums, write: Callable[[NDArray[np.float64]], None] | None, rates: dict[int, float]
) -> Sums:
    def completed() -> NDArray[np.float64]:
        rows = sums().copy()
        if write is not None:
            write(rows)
        if rates:
            write_exact_steps(rows, rates)
        return rows

    return completed
