"""A moment of training and its numbers, which are put together on the writer's thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradviz.schema import SQUARES

Sums = Callable[[], NDArray[np.float64]]  # [slots, SUMS_WIDTH]


class Moment(NamedTuple):
    """Where training stands in its windows."""

    update: int
    micro_step: int


class Once:
    """Puts the sums together when they are first asked for, and keeps them for whoever asks again."""

    __slots__ = ("_assemble", "_sums")

    def __init__(self, assemble: Sums) -> None:
        self._assemble: Sums | None = assemble
        self._sums: NDArray[np.float64] | None = None

    def __call__(self) -> NDArray[np.float64]:
        if self._sums is None:
            assert self._assemble is not None  # noqa: S101 - it goes only when the sums have come
            self._sums, self._assemble = self._assemble(), None
        return self._sums


def only(sums: Sums, rows: NDArray[np.int32]) -> Sums:
    """These `rows` of what `sums` gives."""
    return lambda: sums()[rows]


def coefficient(accumulated: Sums, consumed: Sums, slots: list[int]) -> Callable[[], float]:
    """L2 of what is consumed over L2 of what had accumulated, over `slots`: 1 where nothing was clipped.

    The callable raises ValueError where there is no such number: nothing accumulated, or it is not finite.
    """

    def ratio() -> float:
        before, after = accumulated()[slots, SQUARES].sum(), consumed()[slots, SQUARES].sum()
        found = math.sqrt(after / before) if 0 < before < math.inf else math.nan
        if not math.isfinite(found):
            raise ValueError("no finite gradient had accumulated")
        return found

    return ratio
