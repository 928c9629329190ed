"""A batch of events, turned into the two tables of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.schema import EventRecord, Layer, Scalar
from gradviz.store.columns import EVENT_COLUMNS, INTEGER_SCALARS, KNOWN_SCALARS, event_schema, gradient_schema
from gradviz.store.names import tidy_name
from gradviz.store.parts import as_arrow
from gradviz.store.statistics import LONGEST_WINDOW, Floats, gradient_columns

SCALAR_NAME_LIMIT = 128
SCALAR_LIMIT = 256  # different names of logged scalars a run


class LayerNames:
    """Names by `layer_id`, for the column that outside readers show."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        ordered = sorted(layers, key=lambda layer: layer.layer_id)
        self.layer_ids = np.array([layer.layer_id for layer in ordered], dtype=np.int32)
        self._names = pa.array([layer.name for layer in ordered], type=pa.string())

    def knows(self, layer_ids: NDArray[np.int32]) -> bool:
        """Whether each of these layers is in the table."""
        if not len(self.layer_ids):
            return not len(layer_ids)
        at = np.searchsorted(self.layer_ids, layer_ids)
        return bool((self.layer_ids[np.minimum(at, len(self.layer_ids) - 1)] == layer_ids).all())

    def column(self, layer_ids: NDArray[np.int32]) -> Any:
        """Dictionary column for ascending `layer_ids`; its dictionary holds only the names in use."""
        starts = np.flatnonzero(np.diff(layer_ids, prepend=-1))
        codes = np.repeat(np.arange(len(starts), dtype=np.int32), np.diff(starts, append=len(layer_ids)))
        used = self._names.take(pa.array(np.searchsorted(self.layer_ids, layer_ids[starts])))
        return pa.DictionaryArray.from_arrays(pa.array(codes), used)


def gradient_table(records: Sequence[EventRecord], sums: Sequence[Floats], names: LayerNames) -> Any:
    """Rows of a `gradients` part, ordered by (layer, event)."""
    if not records:
        return gradient_schema().empty_table()
    columns = gradient_columns(records, sums)
    arrays = [as_arrow(column.values, column.exists) for column in columns.values()]
    layer = names.column(columns["layer_id"].values.astype(np.int32, copy=False))
    by_name = dict(zip([*columns, "layer"], [*arrays, layer], strict=True))
    schema = gradient_schema()
    return pa.Table.from_arrays([by_name[name] for name in schema.names], schema=schema)


@lru_cache(maxsize=1024)
def scalar_name(name: str) -> str:
    """Column of a logged scalar; a name that the files use for themselves gets an underscore."""
    tidy = tidy_name(name, SCALAR_NAME_LIMIT)
    return f"{tidy}_" if tidy in EVENT_COLUMNS or not tidy else tidy


def read_scalars(scalars: Mapping[str, Scalar]) -> dict[str, float]:
    """Numbers of one event's scalars, fetched from the device where needed; what is no number is left out."""
    numbers = {}
    for name, value in scalars.items():
        try:
            numbers[scalar_name(str(name))] = float(value() if callable(value) else value)
        except Exception:  # noqa: S112 - a user's number that cannot be read costs only itself
            continue
    return numbers


def event_table(records: Sequence[EventRecord], scalars: Sequence[Mapping[str, float]]) -> Any:
    """Rows of an `events` part, with a column for each scalar that the batch has."""
    logged = sorted({name for numbers in scalars for name in numbers}.difference(KNOWN_SCALARS))[
        :SCALAR_LIMIT
    ]
    schema = event_schema(logged)
    columns: dict[str, Any] = {
        name: np.array([getattr(record, name) for record in records]) for name in EVENT_COLUMNS
    }
    columns["micro_step"] = np.minimum(columns["micro_step"], LONGEST_WINDOW)
    arrays = [pa.array(columns[name], type=schema.field(name).type) for name in EVENT_COLUMNS]
    for name in (*KNOWN_SCALARS, *logged):
        arrays.append(
            _scalar_array([numbers.get(name) for numbers in scalars], name, schema.field(name).type)
        )
    return pa.Table.from_arrays(arrays, schema=schema)


def _scalar_array(values: list[float | None], name: str, kind: Any) -> Any:
    if name in INTEGER_SCALARS:
        whole = [None if value is None or not math.isfinite(value) else int(value) for value in values]
        return pa.array(whole, type=kind)
    return pa.array(values, type=kind)
