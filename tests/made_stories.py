"""Stories made from gradients that are known: every g_k as a vector, every norm computed from it in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.folding import Edits, LayerWindows
from gradviz.analysis.story import LayerTable, MicroSteps, RunStory

Vector = NDArray[np.float64]


def made_table(names: Sequence[str], *, dtype: str = "float32") -> LayerTable:
    """Trainable weights of a hundred elements."""
    count = len(names)
    return LayerTable(
        names=tuple(names),
        layer_id=np.arange(count),
        numel=np.full(count, 100),
        dtype=(dtype,) * count,
        trainable=np.ones(count, dtype=bool),
        embedding=np.zeros(count, dtype=bool),
        matrix=np.ones(count, dtype=bool),
    )


def made_story(
    windows: Sequence[Sequence[Sequence[Vector]]],
    *,
    micro: Mapping[str, Sequence[float]] | None = None,
    facts: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    **changes: Any,
) -> RunStory:
    """`windows[w][k][l]` is g_k of layer l. Each window is reset, summed up and consumed as it is."""
    length = np.array([len(window) for window in windows])
    owner = np.repeat(np.arange(len(windows)), length)
    count = len(windows[0][0])
    sums = [
        np.array([[np.linalg.norm(s) for s in _sums(window, layer)] for layer in range(count)])
        for window in windows
    ]
    own = [
        np.array([[np.linalg.norm(g[layer]) for g in window] for layer in range(count)]) for window in windows
    ]
    total = np.stack([s[:, -1] for s in sums], axis=1).astype(np.float32)
    nothing = np.zeros((count, len(windows)), dtype=np.float32)
    layers = LayerWindows(
        residual=nothing,
        accumulated=total,
        consumed=total,
        own=np.stack([np.sqrt((o**2).sum(axis=1)) for o in own], axis=1).astype(np.float32),
        norms=np.stack([o.sum(axis=1) for o in own], axis=1).astype(np.float32),
        built=np.stack([np.sqrt((s[:, 1:] ** 2).sum(axis=1)) for s in sums], axis=1).astype(np.float32),
        largest=np.stack([o.max(axis=1) for o in own], axis=1).astype(np.float32),
        least=np.stack([o.min(axis=1) for o in own], axis=1).astype(np.float32),
        cosine=np.full_like(nothing, np.nan),
        fired=np.broadcast_to(length.astype(np.int16), nothing.shape),
        broken=np.zeros(nothing.shape, dtype=bool),
        zeros=nothing,
        weight=np.full_like(nothing, np.nan),
        step=np.full_like(nothing, np.nan),
        unchanged=np.full_like(nothing, np.nan),
    )
    unknown = np.full(len(windows), np.nan)
    story = RunStory(
        table=made_table([f"layer_{number}.weight" for number in range(count)], dtype=dtype),
        update=np.arange(len(windows)),
        length=length,
        seen=length,
        consumed=np.ones(len(windows), dtype=bool),
        skipped=np.zeros(len(windows), dtype=bool),
        lr=unknown,
        amp_scale=unknown,
        clip_coefficient=unknown,
        micro=_micro_steps(owner, length, np.concatenate([(o**2).sum(axis=0) for o in own]), micro or {}),
        edits=_no_edits(),
        layers=layers,
        declared=None,
        windows_total=len(windows),
        facts=facts or {},
    )
    return replace(story, **changes)


def _sums(window: Sequence[Sequence[Vector]], layer: int) -> Vector:
    return np.cumsum([micro_gradients[layer] for micro_gradients in window], axis=0)


def _micro_steps(
    owner: Vector, length: Vector, squares: Vector, given: Mapping[str, Sequence[float]]
) -> MicroSteps:
    names = ("loss", "loss_is_nan", "loss_weight", "loss_elements", "lr", "amp_scale", "samples")
    columns = {
        name: np.asarray(given.get(name, np.full(len(owner), np.nan)), dtype=np.float64) for name in names
    }
    number = np.concatenate([np.arange(1, n + 1) for n in length])
    return MicroSteps(window=owner, micro_step=number, squares=squares, **columns)


def _no_edits() -> Edits:
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Edits(none, none, nothing, nothing, none, none)
