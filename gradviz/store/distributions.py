"""Counts by binary exponent on their way into a part of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.schema import BIN_NAMES, BINS, ZEROS_BIN, EventRecord
from gradviz.store.batches import LayerNames
from gradviz.store.columns import distribution_schema
from gradviz.store.statistics import layer_order

Counts = NDArray[np.int64]


def fetch_counts(record: EventRecord) -> Counts | None:
    """Return the counts of one event, fetched from the device when they are still there."""
    if record.counts is None:
        return None
    counts = np.asarray(record.counts() if callable(record.counts) else record.counts, dtype=np.int64)
    if counts.shape != (len(record.layer_ids), BINS):
        raise ValueError(f"counts of shape {counts.shape} for {len(record.layer_ids)} layers")
    return counts


def with_counts(record: EventRecord, note: Callable[[str], None]) -> EventRecord:
    """The event with its counts fetched; counts that cannot be had cost only themselves, and a note."""
    try:
        return record if record.counts is None else record._replace(counts=fetch_counts(record))
    except Exception as error:
        note(f"no distributions of event {record.event}: {type(error).__name__}: {error}")
        return record._replace(counts=None)


def distribution_table(records: Sequence[EventRecord], names: LayerNames) -> Any:
    """Rows of a `distributions` part, ordered by (layer, event); layers without a gradient have none."""
    counted = [(record, counts) for record in records if (counts := fetch_counts(record)) is not None]
    if not counted:
        return distribution_schema().empty_table()
    counts = np.concatenate([of for _, of in counted])
    layer_ids = np.concatenate([record.layer_ids for record, _ in counted]).astype(np.int32, copy=False)
    which = np.repeat(np.arange(len(counted)), [len(of) for _, of in counted])
    order = layer_order(layer_ids)
    order = order[counts[order, ZEROS_BIN] >= 0]
    layer_ids, which = layer_ids[order], which[order]
    columns = {
        "event": np.array([record.event for record, _ in counted], dtype=np.int64)[which],
        "update": np.array([record.update for record, _ in counted], dtype=np.int32)[which],
        "layer_id": layer_ids,
        **dict(zip(BIN_NAMES, np.ascontiguousarray(counts[order].T), strict=True)),
        "layer": names.column(layer_ids),
    }
    schema = distribution_schema()
    return pa.Table.from_arrays([pa.array(columns[name]) for name in schema.names], schema=schema)
