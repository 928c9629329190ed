"""The columns of each kind of part, and how they are encoded on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs

from gradviz.schema import BIN_NAMES

INDEX_COLUMNS: Final = ("event", "update", "micro_step", "phase", "layer_id")
STATISTICS: Final = (
    "mean_abs", "l2", "max_abs", "zeros", "nonfinite",
    "micro_mean_abs", "micro_l2", "micro_max_abs", "micro_nonfinite", "cosine",
    "weight_l2", "step_l2", "unchanged",
)  # fmt: skip
SQUARES_SUM: Final = "l2_squares_sum"  # of an overview: with it the norms of layers can be put together
OPTIONAL: Final = (
    "weight_l2",
    "step_l2",
    "unchanged",
    SQUARES_SUM,
)  # a part that lacks them has no such values
COUNTS: Final = ("nonfinite", "micro_nonfinite")
EVENT_COLUMNS: Final = ("event", "update", "micro_step", "phase", "seconds")
KNOWN_SCALARS: Final = ("loss", "loss_weight", "loss_reduction", "loss_elements", "lr", "amp_scale")
INTEGER_SCALARS: Final = ("loss_reduction", "loss_elements")
LOSS_REDUCTIONS: Final = ("none", "mean", "sum")
ROLLED_UP: Final = ("mean_abs", "l2", "max_abs", "micro_mean_abs")
UPDATES_PER_BLOCK: Final = 16

_INDEX_TYPES: Final[Mapping[str, Any]] = {
    "event": pa.int64(),
    "update": pa.int32(),
    "micro_step": pa.int16(),
    "phase": pa.int8(),
    "layer_id": pa.int32(),
}
_LAYER: Final = pa.field("layer", pa.dictionary(pa.int32(), pa.string()), nullable=False)


def _index_fields(names: Sequence[str]) -> list[Any]:
    # required, not optional: saves the levels that say where nulls are, in writing and in reading
    return [pa.field(name, _INDEX_TYPES[name], nullable=False) for name in names]


def gradient_schema() -> Any:
    """Columns of a `gradients` part: fixed-width numbers, and `layer` for outside readers only."""
    numbers = [(name, pa.int64() if name in COUNTS else pa.float32()) for name in STATISTICS]
    return pa.schema([*_index_fields(INDEX_COLUMNS), *numbers, _LAYER])


def event_schema(scalars: Sequence[str] = ()) -> Any:
    """Columns of an `events` part; `scalars` are the logged ones that this part has."""
    index = [*_index_fields(EVENT_COLUMNS[:-1]), pa.field("seconds", pa.float64(), nullable=False)]
    known = [(name, pa.int64() if name in INTEGER_SCALARS else pa.float64()) for name in KNOWN_SCALARS]
    return pa.schema([*index, *known, *((name, pa.float64()) for name in scalars)])


def overview_schema() -> Any:
    """Columns of an `overview` part: one row a layer and block of 16 updates."""
    counts = ("count", "nonfinite", "micro_count", "micro_nonfinite")
    index = [
        ("layer_id", pa.int32()),
        ("block", pa.int32()),
        ("first_update", pa.int32()),
        ("last_update", pa.int32()),
    ]
    sums = [
        (f"{name}_{kind}", pa.float64() if kind == "sum" else pa.float32())
        for name in ROLLED_UP
        for kind in ("sum", "min", "max")
    ]
    return pa.schema([*index, *((name, pa.int64()) for name in counts), *sums, (SQUARES_SUM, pa.float64())])


def distribution_schema() -> Any:
    """Columns of a `distributions` part: how many elements have which binary exponent, and `layer` as above."""
    index = _index_fields(("event", "update", "layer_id"))
    return pa.schema([*index, *(pa.field(name, pa.int64(), nullable=False) for name in BIN_NAMES), _LAYER])


SCHEMAS: Final = {
    "gradients": gradient_schema,
    "events": event_schema,
    "overview": overview_schema,
    "distributions": distribution_schema,
}
RANGES: Final[Mapping[str, tuple[str, ...]]] = {
    "gradients": ("layer_id", "event", "update"),
    "events": ("event", "update"),
    "overview": ("layer_id", "block"),
    "distributions": ("layer_id", "event", "update"),
}
"""Columns whose least and greatest value each row group states, in the order that the index lists them."""


def write_options(kind: str, schema: Any) -> dict[str, Any]:
    """Encodings of a part for `pyarrow.parquet.ParquetWriter`.

    Dictionary encoding, the default everywhere, costs 60-75 % more bytes on these floats.
    """
    encodings = {}
    for column in schema:
        if pa.types.is_floating(column.type):
            encodings[column.name] = "BYTE_STREAM_SPLIT"
        elif column.name in ("event", "update") or column.name in BIN_NAMES:
            encodings[column.name] = "DELTA_BINARY_PACKED"
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": ["layer"] if "layer" in schema.names else False,
        "column_encoding": encodings,
        "write_statistics": list(RANGES[kind]),
        "write_page_checksum": True,
        "store_schema": False,  # else row groups are not pruned on the dictionary column
    }
