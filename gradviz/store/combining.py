"""Rows of several ranks, turned into those of the whole training.

Sharded layers: each rank holds another part of the gradient. Sums, sums of squares and counts add up, so
that mean |x| is `sum(mean_abs * elements) / sum(elements)` and L2 is `sqrt(sum(l2^2))`; the maximum is the
greatest. Where a shard is missing there is no row: a sum is never silently halved.

Replicated layers: each rank holds the whole gradient. Where the ranks agree (to 1e-5) it is that value;
where they do not (each has its own micro-gradient until they are averaged): mean of the means, root mean
square of the L2 norms, the greatest maximum and count.

The cosine of two gradients does not follow from those of their parts: null, unless replicas agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.store.columns import COUNTS, INDEX_COLUMNS, gradient_schema
from gradviz.store.shards import Shards

AGREEMENT = 1e-5
NORMS = ("l2", "micro_l2", "weight_l2", "step_l2")
MAXIMA = ("max_abs", "micro_max_abs")
NEEDED = ("event", "update", "layer_id")

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Groups:
    """Rows ordered by (layer, moment, rank), cut into groups of the same layer and moment.

    Of each row: `held`, the elements of a shard (0 of a replicated layer). Of each group: where it `starts`,
    its `scale` (0: replicated).
    """

    starts: NDArray[np.intp]
    held: Floats
    scale: Floats

    def add(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sums of the groups."""
        return np.add.reduceat(values, self.starts)

    def greatest(self, values: Floats, where: Mask) -> Floats:
        """Greatest value of each group; minus infinity where there is none."""
        greatest: Floats = np.maximum.reduceat(np.where(where, values, -np.inf), self.starts)
        return greatest


def combine_gradients(tables: Sequence[Any], numbers: Sequence[NDArray[np.int64]], shards: Shards,
                      layer_ids: NDArray[np.int32], columns: Sequence[str]) -> Any:  # fmt: skip
    """Rows of all ranks as one table, ordered by (layer_id, event).

    Args:
        tables: of each rank, with `NEEDED` and `columns`.
        numbers: of each rank, the number of the moment of each row.
        layer_ids: the ids that the layers of `shards` stand for, ascending.
        columns: what is wanted.
    """
    whole, order, groups, complete = _grouped(tables, numbers, shards, layer_ids)
    firsts, number = order[groups.starts], np.concatenate([np.zeros(0, np.int64), *numbers])
    fields = [gradient_schema().field(name) for name in dict.fromkeys(["layer_id", *columns])]
    arrays = [
        _index(whole, field.name, number, firsts)
        if field.name in INDEX_COLUMNS
        else _statistic(whole.column(field.name).take(pa.array(order)), field, groups)
        for field in fields
    ]
    merged = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    return merged if complete.all() else merged.filter(pa.array(complete))


def _grouped(tables: Sequence[Any], numbers: Sequence[NDArray[np.int64]], shards: Shards,
             layer_ids: NDArray[np.int32]) -> tuple[Any, NDArray[np.intp], _Groups, Mask]:  # fmt: skip
    """The rows of all ranks, their order, its groups, and which of the groups have all of their shards."""
    whole = pa.concat_tables(tables, promote_options="default").combine_chunks()
    rank = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    number = np.concatenate([np.zeros(0, np.int64), *numbers])
    layer = np.searchsorted(layer_ids, whole.column("layer_id").to_numpy())
    segment = shards.segment_of(whole.column("update").to_numpy())
    held = shards.held[segment, rank, layer]
    order = np.lexsort((rank, number, layer))
    edges = (np.diff(layer[order]) != 0) | (np.diff(number[order]) != 0)
    starts = np.flatnonzero(np.concatenate([[True], edges])) if len(order) else np.zeros(0, np.intp)
    firsts = order[starts]
    scale = shards.scale[segment[firsts], layer[firsts]]
    groups = _Groups(starts, held[order], scale)
    needed = (shards.held > 0).sum(axis=1)[segment[firsts], layer[firsts]]
    complete = (scale == 0) | (groups.add((groups.held > 0).astype(np.int64)) == needed) & ~np.isnan(scale)
    return whole, order, groups, complete


def combine_distributions(
    tables: Sequence[Any], numbers: Sequence[NDArray[np.int64]], shards: Shards, layer_ids: NDArray[np.int32]
) -> Any:
    """Counts of all ranks as one table, as `combine_gradients`: shards add up, of replicas the first rank's count."""
    whole, order, groups, complete = _grouped(tables, numbers, shards, layer_ids)
    firsts, number = order[groups.starts], np.concatenate([np.zeros(0, np.int64), *numbers])
    mine = groups.held > 0
    arrays = []
    for name in whole.column_names:
        if name in INDEX_COLUMNS:
            arrays.append(_index(whole, name, number, firsts))
            continue
        values = whole.column(name).to_numpy()
        sharded = np.rint(groups.add(np.where(mine, values[order], 0)) * np.nan_to_num(groups.scale))
        arrays.append(pa.array(np.where(groups.scale == 0, values[firsts], sharded).astype(np.int64)))
    return pa.Table.from_arrays(arrays, schema=whole.schema).filter(pa.array(complete))


def _index(whole: Any, name: str, number: NDArray[np.int64], firsts: NDArray[np.intp]) -> Any:
    values = number if name == "event" else whole.column(name).to_numpy()
    return pa.array(values[firsts])


def _statistic(column: Any, field: Any, groups: _Groups) -> Any:
    """A statistic of all ranks: replicated layers as they agree, sharded ones added up."""
    there = np.asarray(column.is_valid())
    values = np.where(there, column.fill_null(0).to_numpy(), 0).astype(np.float64)
    merged, exists = _of_replicas(field.name, values, there, groups)
    if groups.scale.any():  # NaN is true: such a group is left out
        sharded, whole = _of_shards(field.name, values, there, groups)
        merged = np.where(groups.scale == 0, merged, sharded)
        exists = np.where(groups.scale == 0, exists, whole)
    filled = np.where(exists, merged, 0.0)
    kind = np.int64 if field.name in COUNTS else np.float32
    with np.errstate(over="ignore"):
        return pa.array(filled.astype(kind), mask=~exists)


def _of_replicas(name: str, values: Floats, there: Mask, groups: _Groups) -> tuple[Floats, Mask]:
    count = groups.add(there.astype(np.int64))
    with np.errstate(all="ignore"):  # NaN and infinity pass through
        high, low = groups.greatest(values, there), -groups.greatest(-values, there)
        size = np.maximum(np.abs(high), np.abs(low))
        agree = (high == low) | (high - low <= AGREEMENT * size) | (np.isnan(high) & np.isnan(low))
        if name == "cosine":
            return high, (high - low <= AGREEMENT) & (count == groups.add(np.ones(len(there), np.int64)))
        value = np.where(agree, high, _apart(name, values, there, groups, count, high))
    return value, count > 0


def _apart(name: str, values: Floats, there: Mask, groups: _Groups, count: NDArray[np.int64],
           high: Floats) -> Floats:  # fmt: skip
    """The statistic of replicas that differ."""
    if name in MAXIMA or name in COUNTS:
        return high
    if name in NORMS:
        norm: Floats = np.sqrt(groups.add(np.where(there, values**2, 0.0)) / count)
        return norm
    mean: Floats = groups.add(np.where(there, values, 0.0)) / count
    return mean


def _of_shards(name: str, values: Floats, there: Mask, groups: _Groups) -> tuple[Floats, Mask]:
    """Shards added up; exists where each rank that holds elements has a value."""
    mine = groups.held > 0
    exists = (groups.add((mine & ~there).astype(np.int64)) == 0) & (groups.add(mine.astype(np.int64)) > 0)
    if name == "cosine":
        return np.full(len(exists), np.nan), np.zeros(len(exists), dtype=bool)
    with np.errstate(all="ignore"):
        if name in MAXIMA:
            merged = groups.greatest(values, mine)
        elif name in COUNTS:
            merged = np.rint(groups.add(np.where(mine, values, 0.0)) * groups.scale)
        elif name in NORMS:
            merged = np.sqrt(groups.add(np.where(mine, values**2, 0.0)) * groups.scale)
        else:
            weighted = np.where(mine, values * groups.held, 0.0)
            merged = groups.add(weighted) / groups.add(groups.held)
    return merged, exists


def combine_events(
    tables: Sequence[Any], numbers: Sequence[NDArray[np.int64]], expected: Callable[[Any], NDArray[np.int64]]
) -> Any:
    """Events of all ranks as one table, ascending, with the number of `ranks` that have each.

    Losses and logged numbers are means over the ranks; `loss_elements` add up, and are null where a rank's are
    missing; `skipped` is 1 where any rank skipped; `loss_reduction` is null where they differ; `seconds` is when
    the last of them was there. `expected` tells how many ranks take part in each update.
    """
    whole = pa.concat_tables(tables, promote_options="default").combine_chunks()
    number = np.concatenate([np.zeros(0, np.int64), *numbers])
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    firsts = order[starts]
    groups = _Groups(starts, np.zeros(len(order)), np.zeros(len(starts)))
    ranks = groups.add(np.ones(len(order), np.int64)) if len(order) else starts.astype(np.int64)
    update = whole.column("update").to_numpy()[firsts]
    needed = expected(update)
    arrays = []
    for name in whole.column_names:
        if name in INDEX_COLUMNS:
            arrays.append(_index(whole, name, number, firsts))
        else:
            arrays.append(_scalar(whole.column(name).take(pa.array(order)), name, groups, needed))
    return pa.Table.from_arrays(
        [*arrays, pa.array(ranks)], schema=whole.schema.append(pa.field("ranks", pa.int64(), nullable=False))
    )


def _scalar(column: Any, name: str, groups: _Groups, needed: NDArray[np.int64]) -> Any:
    if not len(groups.starts):
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    there = np.asarray(column.is_valid())
    values = np.where(there, column.fill_null(0).to_numpy(), 0).astype(np.float64)
    count = groups.add(there.astype(np.int64))
    exists = count > 0
    with np.errstate(all="ignore"):
        high, low = groups.greatest(values, there), -groups.greatest(-values, there)
        if name == "seconds":
            merged = np.maximum.accumulate(high)
        elif name == "skipped":
            merged = high
        elif name == "loss_reduction":
            merged, exists = high, exists & (high == low)
        elif name == "loss_elements":
            merged, exists = groups.add(values), count == needed
        else:
            merged = np.where(high == low, high, groups.add(np.where(there, values, 0.0)) / count)
    kind = np.int64 if pa.types.is_integer(column.type) else np.float64
    return pa.array(np.where(exists, merged, 0.0).astype(kind), mask=~exists)
