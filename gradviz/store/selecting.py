"""Which row groups and rows a query is about, and ranges of event numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.errors import QueryError
from gradviz.schema import Phase
from gradviz.store.part_files import PartFile
from gradviz.store.parts import EventRange
from gradviz.store.query import Query

QUERY_LIMIT = 2**33  # bytes of one query's table


def check_room(chosen: Sequence[tuple[PartFile, Sequence[int]]], columns: Sequence[str]) -> None:
    """Refuse a query whose table would not fit; raises QueryError."""
    rows = sum(int(part.rows[list(groups)].sum()) for part, groups in chosen)
    if rows * len(columns) * 8 > QUERY_LIMIT:
        raise QueryError(
            f"{rows:,} rows of {len(columns)} columns are too many for one table; "
            "ask for fewer layers=, updates= or columns=."
        )


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
    for first, last in _joined(ranges):  # nearly always one
        kept |= between(values, first, last)
    return kept


def _joined(ranges: Sequence[EventRange]) -> list[tuple[int, int]]:
    """The ranges, ascending, those in one that touch or overlap."""
    joined: list[tuple[int, int]] = []
    for events in sorted(ranges):
        first, last = joined[-1] if joined else (0, -2)
        if joined and events.first <= last + 1:
            joined[-1] = (first, max(last, events.last))
        else:
            joined.append((events.first, events.last))
    return joined


def windows_in(table: Any, committed: Sequence[EventRange]) -> tuple[int, int] | None:
    """First and last update of events that are no resets; None where there are none."""
    real = table.column("phase").to_numpy() != Phase.RESET
    real &= within(table.column("event").to_numpy(), committed)
    updates = table.column("update").to_numpy()[real]
    return (int(updates.min()), int(updates.max())) if len(updates) else None


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
