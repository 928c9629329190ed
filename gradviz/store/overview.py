"""The exact roll-up of gradient rows: per layer and block of 16 updates, count, sum, least and greatest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.schema import Phase
from gradviz.store.columns import ROLLED_UP, UPDATES_PER_BLOCK, overview_schema
from gradviz.store.parts import as_arrow

OF_UPDATES = tuple(name for name in ROLLED_UP if not name.startswith("micro_"))
OF_MICRO_STEPS = tuple(name for name in ROLLED_UP if name.startswith("micro_"))
NEEDED = ("layer_id", "update", "phase", *ROLLED_UP)
_SUMMED = ("count", "nonfinite", "micro_count", "micro_nonfinite", *(f"{name}_sum" for name in ROLLED_UP))
_LEAST = ("first_update", *(f"{name}_min" for name in ROLLED_UP))
_GREATEST = ("last_update", *(f"{name}_max" for name in ROLLED_UP))

Columns = dict[str, NDArray[Any]]


def roll_up(table: Any) -> Any:
    """Overview rows of gradient rows that are ordered by (layer, event); needs the columns `NEEDED`.

    `count` are update rows with finite statistics, `nonfinite` those without (they are in no sum);
    `micro_count` and `micro_nonfinite` likewise of micro-step rows. Rows without a gradient count nowhere.
    """
    update = table.column("update").to_numpy()
    phase = table.column("phase").to_numpy()
    columns: Columns = {
        "layer_id": table.column("layer_id").to_numpy(),
        "block": update // UPDATES_PER_BLOCK,
        "first_update": update,
        "last_update": update,
    }
    _add(columns, table, phase == Phase.UPDATE, OF_UPDATES, "count", "nonfinite")
    _add(columns, table, phase == Phase.MICRO_STEP, OF_MICRO_STEPS, "micro_count", "micro_nonfinite")
    counted = columns["count"] + columns["nonfinite"] + columns["micro_count"] + columns["micro_nonfinite"]
    return _as_table(_reduce({name: values[counted > 0] for name, values in columns.items()}))


def _add(
    columns: Columns, table: Any, rows: NDArray[np.bool_], names: tuple[str, ...], count: str, bad: str
) -> None:
    values = {name: table.column(name).to_numpy() for name in names}  # NaN where null
    there = rows & np.asarray(table.column(names[0]).is_valid())
    finite = there & np.logical_and.reduce([np.isfinite(of) for of in values.values()])
    columns[count] = finite.astype(np.int64)
    columns[bad] = (there & ~finite).astype(np.int64)
    for name, of in values.items():
        columns[f"{name}_sum"] = np.where(finite, of, 0.0).astype(np.float64)
        columns[f"{name}_min"] = np.where(finite, of, np.inf).astype(np.float32)
        columns[f"{name}_max"] = np.where(finite, of, -np.inf).astype(np.float32)


def combine(table: Any) -> Any:
    """Add up overview rows of the same layer and block: a block may lie in two segments."""
    columns: Columns = {}
    for name in overview_schema().names:
        column = table.column(name)
        values = column.to_numpy()
        if name.endswith(("_min", "_max")) and column.null_count:
            values = np.where(column.is_valid(), values, np.inf if name.endswith("_min") else -np.inf)
            values = values.astype(np.float32)
        columns[name] = values
    order = np.lexsort((columns["block"], columns["layer_id"]))
    return _as_table(_reduce({name: values[order] for name, values in columns.items()}))


def _reduce(columns: Columns) -> Columns:
    """One row for each run of equal (layer_id, block)."""
    layer_id, block = columns["layer_id"], columns["block"]
    if not len(layer_id):
        return columns
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(layer_id) != 0) | (np.diff(block) != 0)]))
    reduced: Columns = {"layer_id": layer_id[starts], "block": block[starts]}
    for names, operation in ((_SUMMED, np.add), (_LEAST, np.minimum), (_GREATEST, np.maximum)):
        for name in names:
            reduced[name] = operation.reduceat(columns[name], starts)
    return reduced


def _as_table(columns: Columns) -> Any:
    schema = overview_schema()
    arrays = []
    for field in schema:
        values = columns[field.name]
        exists = None
        if field.name.endswith(("_min", "_max")):
            exists = np.isfinite(values)
            values = np.where(exists, values, 0).astype(np.float32)
        arrays.append(as_arrow(values, exists).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
