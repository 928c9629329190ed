"""A block of the overview that lies in two parts, one of which is older than a column."""

from __future__ import annotations

import pyarrow as pa

from gradviz.store.columns import SQUARES_SUM, overview_schema
from gradviz.store.overview import combine

ROW = {"layer_id": 0, "block": 3, "first_update": 48, "last_update": 50, "count": 3, "nonfinite": 0}


def rows(*squares: float | None) -> pa.Table:
    schema = overview_schema()
    empty = dict.fromkeys(schema.names, 0)
    return pa.Table.from_pylist([empty | ROW | {SQUARES_SUM: one} for one in squares], schema=schema)


def test_sums_of_squares_add_up() -> None:
    found = combine(rows(2.0, 3.5))
    assert found["count"].to_pylist() == [6]
    assert found[SQUARES_SUM].to_pylist() == [5.5]


def test_half_a_sum_is_none() -> None:
    found = combine(rows(2.0, None))
    assert found["count"].to_pylist() == [6]
    assert found[SQUARES_SUM].to_pylist() == [None]
