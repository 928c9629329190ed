"""Which row groups and rows a query is about, and ranges of event numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.store.part_files import PartFile
from gradviz.store.parts import EventRange
from gradviz.store.query import Query


def groups_of(part: PartFile, query: Query) -> list[int]:
    """Numbers of the row groups that may hold rows of a query."""
    wanted = np.ones(len(part.rows), dtype=bool)
    if query.layer_ids is not None:
        wanted &= part.groups_with("layer_id", query.layer_ids)
    if query.updates is not None:
        wanted &= part.groups_between("update", *query.updates)
    return [int(group) for group in np.flatnonzero(wanted)]


def batches_of(part: PartFile, groups: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Row groups that follow each other, together at most `rows` rows unless one alone has more."""
    batch: list[int] = []
    held = 0
    for group in groups:
        if batch and held + part.rows[group] > rows:
            yield batch
            batch, held = [], 0
        batch.append(group)
        held += int(part.rows[group])
    if batch:
        yield batch


def filter_columns(query: Query) -> list[str]:
    """Columns that `select` looks at, besides `layer_id`."""
    return [*(["update"] if query.updates else []), *(["phase"] if query.phases is not None else [])]


def select(table: Any, query: Query, first_event: int = 0) -> Any:
    """Rows of a query, from `first_event` on where that is not 0; `table` has `layer_id` and `filter_columns`."""
    masks = []
    if query.layer_ids is not None:
        masks.append(np.isin(table.column("layer_id").to_numpy(), query.layer_ids))
    if query.updates is not None:
        masks.append(between(table.column("update").to_numpy(), *query.updates))
    if query.phases is not None:
        masks.append(np.isin(table.column("phase").to_numpy(), query.phases))
    if first_event:
        masks.append(table.column("event").to_numpy() >= first_event)
    if not masks:
        return table
    mask = np.logical_and.reduce(masks)
    return table if mask.all() else table.filter(pa.array(mask))


def between(values: NDArray[Any], first: int, last: int) -> NDArray[np.bool_]:
    """Which values lie in [first, last]."""
    return (values >= first) & (values <= last)


def within(values: NDArray[Any], ranges: Sequence[EventRange]) -> NDArray[np.bool_]:
    """Which event numbers lie in one of the ranges."""
    kept = np.zeros(len(values), dtype=bool)
    for events in ranges:
        kept |= between(values, events.first, events.last)
    return kept


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
