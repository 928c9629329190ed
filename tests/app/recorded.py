"""Run folders for the tests of the dashboard, written by the real writer from gradients of six numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradviz.schema import SUMS_WIDTH, EventRecord, Layer, Phase, RunState
from gradviz.store import RunWriter

NAMES = ("embed.weight", "block.0.weight", "block.0.bias", "head.weight")
WIDTH = 6

Vectors = NDArray[np.float64]  # [layers, WIDTH]


def record_run(
    parent: Path,
    name: str = "small",
    *,
    windows: Sequence[int] = (4, 4, 4, 2),
    layers: Sequence[str] = NAMES,
    resets: bool = True,
    poison: tuple[int, int] | None = None,
    model_class: str = "Sequential",
    close: bool = True,
) -> Path:
    """One finished run (or, without `close`, the folder of a run that is still going on: keep its writer)."""
    writer = open_writer(parent, name, layers=layers, model_class=model_class)
    write_windows(writer, windows, layers=len(layers), resets=resets, poison=poison)
    assert writer.close(RunState.FINISHED) == 0
    return writer.path


def open_writer(
    parent: Path, name: str = "live", *, layers: Sequence[str] = NAMES, model_class: str = "Sequential"
) -> RunWriter:
    """A writer that flushes quickly; the caller closes it."""
    table = [
        Layer(number, layer, (WIDTH,), WIDTH, "float32", "Linear", trainable=True)
        for number, layer in enumerate(layers)
    ]
    return RunWriter.create(
        parent, name, table, accumulation_steps=4, model_class=model_class, flush_seconds=0.05, durable=False
    )


def write_windows(
    writer: RunWriter,
    windows: Sequence[int],
    *,
    layers: int = len(NAMES),
    resets: bool = True,
    poison: tuple[int, int] | None = None,
    first_update: int = 0,
    first_event: int = 0,
    under_way: bool = False,
) -> int:
    """Micro-steps that share a direction and differ by noise; returns the next event number.

    `under_way`: the last window has not had its update yet.
    """
    rng = np.random.default_rng(0)
    event, grad = first_event, np.full((layers, WIDTH), np.nan)
    for update, length in enumerate(windows, start=first_update):
        _put(writer, event, update, 0, Phase.RESET, grad)
        event += 1
        for k in range(1, length + 1):
            own = (0.5 + rng.normal(size=(layers, WIDTH))) * np.logspace(-3, 0, layers)[:, None]
            if poison == (update, k):
                own[0, 0] = np.inf
            before = np.nan_to_num(grad, nan=0.0, posinf=np.inf)
            grad = before + own
            _put(writer, event, update, k, Phase.MICRO_STEP, grad, own=own, before=before)
            event += 1
        if under_way and update == first_update + len(windows) - 1:
            return event
        _put(writer, event, update, length, Phase.UPDATE, grad)
        event += 1
        if resets:
            grad = np.full((layers, WIDTH), np.nan)
    return event


def _put(
    writer: RunWriter,
    event: int,
    update: int,
    micro_step: int,
    phase: Phase,
    grad: Vectors,
    *,
    own: Vectors | None = None,
    before: Vectors | None = None,
) -> None:
    sums = np.full((len(grad), SUMS_WIDTH), np.nan)
    sums[:, :5] = _sums(grad)
    sums[:, 5:9] = [0, 0, 0, -1] if own is None else _sums(own)[:, :4]
    if before is not None:
        sums[:, 9] = np.where(np.isfinite(before), before, 0.0).__pow__(2).sum(axis=1)
    scalars = {"loss": 1.0 / (event + 1)} if phase is Phase.MICRO_STEP else {"lr": 0.1}
    numels = np.full(len(grad), WIDTH, dtype=np.int64)
    ids = np.arange(len(grad), dtype=np.int32)
    assert writer.put(EventRecord(event, update, micro_step, phase, event * 0.01, ids, numels, sums, scalars))


def _sums(grad: Vectors) -> Vectors:
    """L1, squares, maximum, non-finite, zeros of each row; all NaN stands for None (no gradient)."""
    if np.isnan(grad).all():
        return np.tile([0.0, 0.0, 0.0, -1.0, 0.0], (len(grad), 1))
    size = np.abs(grad)
    columns = [size.sum(1), (size**2).sum(1), size.max(1), (~np.isfinite(grad)).sum(1), (grad == 0).sum(1)]
    return np.stack(columns, axis=1).astype(np.float64)
