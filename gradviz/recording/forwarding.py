"""A handful of numbers of each update, handed on to a TensorBoard, wandb or trackio run that is open anyway.

Nothing of theirs is imported: what has `add_scalar` is taken for a SummaryWriter, what has `log` for a
run of wandb or trackio. It all happens on the writer's thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.errors import WatchError
from gradviz.schema import (
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    SQUARES,
    STEP_SQUARES,
    WEIGHT_SQUARES,
    EventRecord,
    Phase,
    Scalar,
)

Sums = NDArray[np.float64]
Send = Callable[[dict[str, float], int], None]
PREFIX = "gradviz/"


class Forwarder:
    """Follows the events and sends at each update.

    `accumulated_l2` (what the optimizer consumed), `coherence` (||G_n|| / sum ||g_k||), `update_to_weight` (median of
    ||dw|| / ||w|| over the layers), `clip_coefficient`, `loss_weight` (of the window), `nonfinite` (elements)
    and `micro_steps`; a number that is not known is left out. An update that a GradScaler refused sends
    only what is left of them.
    """

    def __init__(self, target: Any) -> None:
        self._send = _sender(target)
        self._norms = 0.0  # sum of ||g_k|| of the window
        self._accumulated = math.nan  # ||G_k||
        self._weight = 0.0

    def take(self, records: Sequence[EventRecord], sums: Sequence[Sums]) -> None:
        """Events in their order, with their sums [layers, SUMS_WIDTH]. Raises the last of the target's failures."""
        failed: Exception | None = None
        for record, numbers in zip(records, sums, strict=True):
            if record.phase is Phase.RESET:
                self._norms, self._weight = 0.0, 0.0
            elif record.phase is Phase.MICRO_STEP:
                self._count(record, numbers)
            elif record.phase is Phase.UPDATE:
                found = self._of_update(record, numbers)
                self._norms, self._weight = 0.0, 0.0
                known = {name: value for name, value in found.items() if math.isfinite(value)}
                try:
                    self._send(known, record.update)
                except Exception as error:  # costs this update only
                    failed = error
        if failed is not None:
            raise failed

    def _count(self, record: EventRecord, numbers: Sums) -> None:
        shares = numbers[numbers[:, MICRO_NONFINITE] >= 0, MICRO_SQUARES]
        self._norms += math.sqrt(shares.sum()) if len(shares) else math.nan
        self._accumulated = _norm(numbers)
        self._weight += _scalar(record, "loss_weight") * _scalar(record, "loss_elements")

    def _of_update(self, record: EventRecord, numbers: Sums) -> dict[str, float]:
        with np.errstate(all="ignore"):
            ratios = np.sqrt(numbers[:, STEP_SQUARES] / numbers[:, WEIGHT_SQUARES])
        ratios = ratios[np.isfinite(ratios)]
        return {
            "accumulated_l2": _norm(numbers),
            "coherence": self._accumulated / self._norms if self._norms > 0 else math.nan,
            "update_to_weight": float(np.median(ratios)) if len(ratios) else math.nan,
            "clip_coefficient": _scalar(record, "clip_coefficient"),
            "loss_weight": self._weight if self._weight > 0 else math.nan,
            "nonfinite": float(np.maximum(numbers[:, NONFINITE], 0).sum()),
            "micro_steps": float(record.micro_step),
        }


def _norm(numbers: Sums) -> float:
    there = numbers[numbers[:, NONFINITE] >= 0, SQUARES]
    return math.sqrt(there.sum()) if len(there) else math.nan


def _scalar(record: EventRecord, name: str) -> float:
    value: Scalar = record.scalars.get(name, math.nan)
    with suppress(Exception):  # a callable that finds no such number
        return float(value() if callable(value) else value)
    return math.nan


def _sender(target: Any) -> Send:
    if callable(getattr(target, "add_scalar", None)):
        return lambda numbers, update: _each(target.add_scalar, numbers, update)
    if callable(getattr(target, "log", None)):
        return lambda numbers, update: target.log(_named(numbers) | {f"{PREFIX}update": update})
    raise WatchError(
        f"gradviz.watch was given a {type(target).__name__} as forward. "
        "Pass a SummaryWriter of TensorBoard, or a run of wandb or trackio."
    )


def _each(add_scalar: Callable[..., object], numbers: dict[str, float], update: int) -> None:
    for name, value in _named(numbers).items():
        add_scalar(name, value, update)


def _named(numbers: dict[str, float]) -> dict[str, float]:
    return {f"{PREFIX}{name}": value for name, value in numbers.items()}
