"""Raw sums of the recorder, turned into the columns of the files: bulk arithmetic over a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradviz.schema import (
    L1,
    MAX,
    MICRO_L1,
    MICRO_MAX,
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    STEP_SQUARES,
    SUMS_WIDTH,
    UNCHANGED,
    WEIGHT_SQUARES,
    ZEROS,
    EventRecord,
    Phase,
)

LONGEST_WINDOW = 2**15 - 1  # `micro_step` is int16: a window that never ends stays at its end
COSINE_SLACK = 0.01  # bfloat16 rounds G_k to 2^-9; beyond this g_k is not what was added to G_{k-1}

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """Values and where they exist; `exists` None means everywhere."""

    values: NDArray[np.generic]
    exists: Mask | None = None


def fetch_sums(record: EventRecord) -> Floats:
    """Return the sums of one event, fetched from the device when they are still there."""
    sums = np.asarray(record.sums() if callable(record.sums) else record.sums, dtype=np.float64)
    if sums.shape != (len(record.layer_ids), SUMS_WIDTH) or len(record.numels) != len(record.layer_ids):
        raise ValueError(
            f"event {record.event}: sums of shape {sums.shape} for {len(record.layer_ids)} layers"
        )
    return sums


def gradient_columns(records: Sequence[EventRecord], sums: Sequence[Floats]) -> dict[str, Column]:
    """Columns of a `gradients` part for a batch of events, ordered by (layer, event).

    `records` ascend by event; `sums[i]` [P_i, SUMS_WIDTH] belongs to `records[i]`.
    """
    rows = _regular_rows(records, sums) if _same_layers(records) else _ragged_rows(records, sums)
    phase = np.array([record.phase for record in records], dtype=np.int8)[rows.which]
    micro_steps = [min(record.micro_step, LONGEST_WINDOW) for record in records]
    return {
        "event": Column(np.array([record.event for record in records], dtype=np.int64)[rows.which]),
        "update": Column(np.array([record.update for record in records], dtype=np.int32)[rows.which]),
        "micro_step": Column(np.array(micro_steps, dtype=np.int16)[rows.which]),
        "phase": Column(phase),
        "layer_id": Column(rows.layer_ids),
        **statistics_of(rows.sums, rows.numels, phase),
    }


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows ordered by (layer, event): sums [SUMS_WIDTH, rows]; `which` record a row comes from."""

    sums: Floats
    layer_ids: NDArray[np.int32]
    numels: NDArray[np.int64]
    which: NDArray[np.intp]


def _same_layers(records: Sequence[EventRecord]) -> bool:
    """Whether each event has the layers of the first, as nearly every batch has."""
    ids, numels = records[0].layer_ids, records[0].numels
    return all(
        (record.layer_ids is ids or np.array_equal(record.layer_ids, ids))
        and (record.numels is numels or np.array_equal(record.numels, numels))
        for record in records[1:]
    )


def _regular_rows(records: Sequence[EventRecord], sums: Sequence[Floats]) -> _Rows:
    """Rows where each event has the same layers: one transposition, nothing to sort."""
    count, layers = len(records), len(records[0].layer_ids)
    return _Rows(
        np.stack(sums, axis=2).transpose(1, 0, 2).reshape(SUMS_WIDTH, layers * count),
        np.repeat(np.asarray(records[0].layer_ids, dtype=np.int32), count),
        np.repeat(records[0].numels, count),
        np.tile(np.arange(count), layers),
    )


def _ragged_rows(records: Sequence[EventRecord], sums: Sequence[Floats]) -> _Rows:
    layer_ids = np.concatenate([record.layer_ids for record in records]).astype(np.int32, copy=False)
    order = layer_order(layer_ids)
    which = np.repeat(np.arange(len(records)), [len(record.layer_ids) for record in records])
    numels = np.concatenate([record.numels for record in records])
    return _Rows(
        np.ascontiguousarray(np.concatenate(sums)[order].T), layer_ids[order], numels[order], which[order]
    )


def layer_order(layer_ids: NDArray[np.int32]) -> NDArray[np.intp]:
    """Order that sorts by layer and keeps the events of a layer in order.

    As int16, where they fit, numpy sorts by radix: ten times faster.
    """
    offsets = layer_ids - layer_ids.min(initial=0)
    small = offsets.astype(np.int16) if offsets.max(initial=0) < 2**15 else offsets
    return np.argsort(small, kind="stable")


def statistics_of(sums: Floats, numels: NDArray[np.int64], phase: NDArray[np.int8]) -> dict[str, Column]:
    """Statistics from sums [SUMS_WIDTH, rows]: float32 values, int64 counts, and where they exist."""
    numels = np.maximum(numels, 1)  # an empty tensor has mean 0, not NaN
    there = sums[NONFINITE] >= 0
    micro = (phase == Phase.MICRO_STEP) & (sums[MICRO_NONFINITE] >= 0)
    with np.errstate(all="ignore"):  # a gradient may hold anything: NaN and infinity pass through
        return {
            "mean_abs": _float(sums[L1] / numels, there),
            "l2": _float(np.sqrt(sums[SQUARES]), there),
            "max_abs": _float(sums[MAX], there),
            "zeros": _float(sums[ZEROS] / numels, there & (phase == Phase.UPDATE)),
            "nonfinite": _count(sums[NONFINITE], there),
            "micro_mean_abs": _float(sums[MICRO_L1] / numels, micro),
            "micro_l2": _float(np.sqrt(sums[MICRO_SQUARES]), micro),
            "micro_max_abs": _float(sums[MICRO_MAX], micro),
            "micro_nonfinite": _count(sums[MICRO_NONFINITE], micro),
            "cosine": _cosine(sums, there & micro),
            "weight_l2": _known(np.sqrt(sums[WEIGHT_SQUARES]), phase),
            "step_l2": _known(np.sqrt(sums[STEP_SQUARES]), phase),
            "unchanged": _known(sums[UNCHANGED], phase),
        }


def _float(values: Floats, exists: Mask) -> Column:
    return Column(np.where(exists, values, 0.0).astype(np.float32), exists)


def _known(values: Floats, phase: NDArray[np.int8]) -> Column:
    """A statistic of an update's weights, which is NaN where it was not taken."""
    return _float(values, (phase == Phase.UPDATE) & ~np.isnan(values))


def _count(values: Floats, exists: Mask) -> Column:
    return Column(np.where(exists, values, 0.0).astype(np.int64), exists)


def _cosine(sums: Floats, micro: Mask) -> Column:
    """Cosine of g_k with G_{k-1} by polarisation: |G_k|^2 = |G_{k-1}|^2 + |g_k|^2 + 2 <G_{k-1}, g_k>."""
    previous, own = sums[PREVIOUS_SQUARES], sums[MICRO_SQUARES]
    cosine = (sums[SQUARES] - previous - own) / (2.0 * np.sqrt(previous) * np.sqrt(own))
    believable = ~(np.abs(cosine) > 1.0 + COSINE_SLACK)
    exists = micro & ~np.isnan(previous) & (previous != 0) & (own != 0) & believable
    return _float(np.clip(cosine, -1.0, 1.0), exists)
