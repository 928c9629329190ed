"""Runs that are alike but for what a test changes: every gradient is a number times its layer's own vector."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from gradviz.schema import SUMS_WIDTH, EventRecord, Layer, Phase, RunState
from gradviz.store import RunWriter

LAYERS = ("in.weight", "in.bias", "out.weight")
WIDTHS = (6, 3, 4)
Place = tuple[int, int, Phase]


def record_alike(
    parent: Path,
    name: str = "alike",
    *,
    windows: Sequence[int] = (3, 3, 3, 2),
    layers: Sequence[str] = LAYERS,
    factors: Mapping[Place, float] | None = None,
    left: float | None = None,
    missing: Collection[int] = (),
    samples: float | None = None,
    losses: Mapping[tuple[int, int], float] | None = None,
    **facts: object,
) -> Path:
    """Write a run of windows of these lengths and return its folder.

    Args:
        factors: of the gradients of the first layer, at (update, micro-step, phase); NaN: no gradient.
        left: what resets find in every layer; None: nothing.
        missing: updates whose windows are dropped.
        samples: logged at each micro-step.
        losses: at (update, micro-step); others have 1.0.
    """
    table = [
        Layer(place, layer, (WIDTHS[place % 3],), WIDTHS[place % 3], "float32", "Linear", trainable=True)
        for place, layer in enumerate(layers)
    ]
    writer = RunWriter.create(parent, name, table, accumulation_steps=3, durable=False, **facts)  # type: ignore[arg-type]
    event = 0
    for update, length in enumerate(windows):
        moments = [
            (0, Phase.RESET),
            *((k, Phase.MICRO_STEP) for k in range(1, length + 1)),
            (length, Phase.UPDATE),
        ]
        for k, phase in moments:
            if update not in missing:
                sizes = np.array(
                    [(1 + update) * (k + 1) * (place + 1) for place in range(len(layers))], float
                )
                if phase is Phase.RESET:
                    sizes[:] = np.nan if left is None else left
                sizes[0] *= (factors or {}).get((update, k, phase), 1.0)
                scalars = {"loss": (losses or {}).get((update, k), 1.0)} if phase is Phase.MICRO_STEP else {}
                if samples is not None and scalars:
                    scalars["samples"] = samples
                _put(writer, event, update, k, phase, sizes, scalars)
            event += 1
    assert writer.close(RunState.FINISHED) == 0
    return writer.path


def _put(writer: RunWriter, event: int, update: int, k: int, phase: Phase, sizes: np.ndarray,
         scalars: dict[str, float]) -> None:  # fmt: skip
    numels = np.array([WIDTHS[place % 3] for place in range(len(sizes))], dtype=np.int64)
    sums = np.full((len(sizes), SUMS_WIDTH), np.nan)
    sums[:, 0], sums[:, 1], sums[:, 2] = sizes * numels, sizes**2 * numels, sizes
    sums[:, 3], sums[:, 4] = np.isinf(sizes), 0
    sums[np.isnan(sizes), :5] = [0, 0, 0, -1, 0]
    sums[:, 5:9] = [0, 0, 0, -1]
    ids = np.arange(len(sizes), dtype=np.int32)
    assert writer.put(EventRecord(event, update, k, phase, event * 0.01, ids, numels, sums, scalars))
