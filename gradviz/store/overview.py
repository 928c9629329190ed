"""The exact roll-up of gradient rows: per layer and block of 16 updates, count, sum, least and greatest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.schema import Phase
from gradviz.store.columns import ROLLED_UP, SQUARES_SUM, UPDATES_PER_BLOCK, overview_schema
from gradviz.store.parts import as_arrow

OF_UPDATES = tuple(name for name in ROLLED_UP if not name.startswith("micro_"))
OF_MICRO_STEPS = tuple(name for name in ROLLED_UP if name.startswith("micro_"))
NEEDED = ("layer_id", "update", "phase", *ROLLED_UP)
_COUNTS = ("count", "nonfinite", "micro_count", "micro_nonfinite")
_SUMMED = (*_COUNTS, *(f"{name}_sum" for name in ROLLED_UP), SQUARES_SUM)
_LEAST = ("first_update", *(f"{name}_min" for name in ROLLED_UP))
_GREATEST = ("last_update", *(f"{name}_max" for name in ROLLED_UP))

Columns = dict[str, NDArray[Any]]


def roll_up(table: Any) -> Any:
    """Overview rows of gradient rows; needs the columns `NEEDED`.

    `count` are update rows with finite statistics, `nonfinite` those without (they are in no sum);
    `micro_count` and `micro_nonfinite` likewise of micro-step rows. Rows without a gradient count nowhere.
    """
    updates = _rolled(table, Phase.UPDATE, OF_UPDATES, "count", "nonfinite")
    micro_steps = _rolled(table, Phase.MICRO_STEP, OF_MICRO_STEPS, "micro_count", "micro_nonfinite")
    return _as_table(_add_up({name: np.concatenate([updates[name], micro_steps[name]]) for name in updates}))


def _rolled(table: Any, phase: Phase, names: tuple[str, ...], count: str, bad: str) -> Columns:
    """Overview columns of the rows of one phase; those of the other phase are neutral."""
    wanted = (table.column("phase").to_numpy() == phase) & np.asarray(table.column(names[0]).is_valid())
    rows = table.select(["layer_id", "update", *names]).filter(pa.array(wanted))
    update = rows.column("update").to_numpy()
    values = {name: rows.column(name).to_numpy() for name in names}
    finite = np.logical_and.reduce([np.isfinite(of) for of in values.values()])
    columns: Columns = {
        "layer_id": rows.column("layer_id").to_numpy(),
        "block": update // UPDATES_PER_BLOCK,
        "first_update": update,
        "last_update": update,
        **{name: np.zeros(len(update), dtype=np.int64) for name in _COUNTS},
    }
    columns[count], columns[bad] = finite.astype(np.int64), (~finite).astype(np.int64)
    nothing = np.zeros(len(update), dtype=bool)
    for name in ROLLED_UP:
        of, used = (values[name], finite) if name in values else (np.zeros(len(update)), nothing)
        columns[f"{name}_sum"] = np.where(used, of, 0.0).astype(np.float64)
        columns[f"{name}_min"] = np.where(used, of, np.inf).astype(np.float32)
        columns[f"{name}_max"] = np.where(used, of, -np.inf).astype(np.float32)
    norms = np.where(finite, values["l2"], 0.0) if "l2" in values else nothing
    columns[SQUARES_SUM] = norms.astype(np.float64) ** 2
    return _reduce(columns)


def combine(table: Any, stride: int = 1, first_block: int = 0) -> Any:
    """Add up overview rows of the same layer and block: a block may lie in two segments.

    With a `stride` also so many neighbouring blocks, counted from `first_block`: they have the number of the first.
    """
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name)
        values = column.to_numpy()
        if name.endswith(("_min", "_max")) and column.null_count:
            values = np.where(column.is_valid(), values, np.inf if name.endswith("_min") else -np.inf)
            values = values.astype(np.float32)
        columns[name] = values
    if stride > 1:
        columns["block"] = columns["block"] - (columns["block"] - first_block) % stride
    return _as_table(_add_up(columns))


def _add_up(columns: Columns) -> Columns:
    key = (columns["layer_id"].astype(np.int64) << 32) + columns["block"]
    if (key[1:] >= key[:-1]).all():
        return _reduce(columns)
    order = np.argsort(key, kind="stable")  # a few ascending runs, which this merges faster than a lexsort
    return _reduce({name: values[order] for name, values in columns.items()})


def _reduce(columns: Columns) -> Columns:
    """One row for each run of equal (layer_id, block)."""
    layer_id, block = columns["layer_id"], columns["block"]
    if not len(layer_id):
        return columns
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(layer_id) != 0) | (np.diff(block) != 0)]))
    reduced: Columns = {"layer_id": layer_id[starts], "block": block[starts]}
    for names, operation in ((_SUMMED, np.add), (_LEAST, np.minimum), (_GREATEST, np.maximum)):
        for name in names:
            if name in columns:
                reduced[name] = operation.reduceat(columns[name], starts)
    return reduced


def _as_table(columns: Columns) -> Any:
    schema = pa.schema([column for column in overview_schema() if column.name in columns])
    arrays = []
    for column in schema:
        values = columns[column.name]
        exists = None
        if column.name.endswith(("_min", "_max")):
            exists = np.isfinite(values)
            values = np.where(exists, values, 0).astype(np.float32)
        elif column.name == SQUARES_SUM:  # null where an older part has a share in it
            exists = ~np.isnan(values)
        arrays.append(as_arrow(values, exists).cast(column.type))
    return pa.Table.from_arrays(arrays, schema=schema)
