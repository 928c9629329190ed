"""Rows of parts, turned into the frames that the analysis reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError
from gradviz.schema import PHASES, Layer
from gradviz.store.columns import COUNTS, INTEGER_SCALARS, LOSS_REDUCTIONS

PHASE_TYPE = pd.CategoricalDtype(list(PHASES))
REDUCTION_TYPE = pd.CategoricalDtype(list(LOSS_REDUCTIONS))
LAYER_COLUMNS = (
    "layer_id", "layer", "shape", "numel", "dtype", "module_type", "trainable", "shared_names", "position",
)  # fmt: skip


def layer_frame(layers: Sequence[Layer], forward_order: Sequence[int] | None) -> pd.DataFrame:
    """Table of layers in forward order; layers that the order does not name come last."""
    rank = {layer_id: at for at, layer_id in enumerate(forward_order or ())}
    ordered = sorted(layers, key=lambda layer: rank.get(layer.layer_id, len(rank)))
    columns: dict[str, Any] = {
        "layer_id": np.array([layer.layer_id for layer in ordered], dtype=np.int32),
        "layer": pd.Series([layer.name for layer in ordered], dtype=object),
        "shape": pd.Series([layer.shape for layer in ordered], dtype=object),
        "numel": np.array([layer.numel for layer in ordered], dtype=np.int64),
        "dtype": pd.Series([layer.dtype for layer in ordered], dtype=object),
        "module_type": pd.Series([layer.module_type for layer in ordered], dtype=object),
        "trainable": np.array([layer.trainable for layer in ordered], dtype=bool),
        "shared_names": pd.Series([layer.shared_names for layer in ordered], dtype=object),
        "position": np.arange(len(ordered), dtype=np.int32),
    }
    return pd.DataFrame(columns, columns=list(LAYER_COLUMNS))


class LayerOrder:
    """Positions in forward order by `layer_id`, and the categories that go with them."""

    def __init__(self, table: pd.DataFrame) -> None:
        ids = table["layer_id"].to_numpy()
        self._by_id = np.argsort(ids)
        self._ids = ids[self._by_id]
        self.dtype = pd.CategoricalDtype(table["layer"].tolist())
        self._code_type = np.int16 if len(ids) < 2**15 else np.int32

    def positions(self, layer_ids: NDArray[np.int32]) -> NDArray[np.signedinteger[Any]]:
        """Positions of layers; raises DamagedPartError for one that is not in the table."""
        if not len(self._ids):
            if len(layer_ids):
                raise DamagedPartError("rows of layers that run.json does not know")
            return np.empty(0, dtype=np.int16)
        at = np.minimum(np.searchsorted(self._ids, layer_ids), len(self._ids) - 1)
        if not (self._ids[at] == layer_ids).all():
            raise DamagedPartError("rows of layers that run.json does not know")
        return self._by_id[at].astype(self._code_type)


def numbers_of(column: Any) -> Any:
    """A column of numbers for a frame: floats have NaN where null, counts are nullable integers."""
    chunk = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_floating(chunk.type):
        return chunk.to_numpy(zero_copy_only=False)
    values = pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(np.array(values), np.asarray(chunk.is_null(), dtype=bool))


def index_of(column: Any) -> NDArray[Any]:
    """A column of integers without nulls; raises DamagedPartError when there are some."""
    if column.null_count:
        raise DamagedPartError("a null where every row has a number")
    return np.asarray(column.to_numpy())


def gradient_frame(table: Any, order: LayerOrder, columns: Sequence[str]) -> pd.DataFrame:
    """Frame of gradient rows that ascend by event within each layer, ordered by (position, event)."""
    positions = order.positions(index_of(table.column("layer_id")))
    arrange = _stable_order(positions)
    if arrange is not None:
        positions = positions[arrange]
    built: dict[str, Any] = {}
    for name in columns:
        if name == "layer":
            built[name] = pd.Categorical.from_codes(positions, dtype=order.dtype)  # type: ignore[arg-type]
            continue
        column = table.column(name)
        values = numbers_of(column) if name in COUNTS or pa.types.is_floating(column.type) else index_of(column)
        values = values if arrange is None else values[arrange]
        built[name] = phase_column(values) if name == "phase" else values
    return pd.DataFrame(built, columns=list(columns), copy=False)


def phase_column(codes: NDArray[np.int8]) -> pd.Categorical:
    """Phases by their names; raises DamagedPartError for a number that names none."""
    if len(codes) and (codes.min() < 0 or codes.max() >= len(PHASES)):
        raise DamagedPartError("a phase that does not exist")
    return pd.Categorical.from_codes(codes, dtype=PHASE_TYPE)  # type: ignore[arg-type]


def _stable_order(positions: NDArray[np.signedinteger[Any]]) -> NDArray[np.intp] | None:
    """Order that sorts by position and keeps events in order; None when it is so already."""
    if len(positions) < 2 or bool((positions[1:] >= positions[:-1]).all()):
        return None
    return np.argsort(positions, kind="stable")


def event_frame(table: Any) -> pd.DataFrame:
    """Frame of events; scalars that an event does not have are NaN (or <NA> for counts)."""
    built: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if name == "phase":
            built[name] = phase_column(index_of(column))
        elif name == "loss_reduction":
            built[name] = _reductions(column)
        elif name in INTEGER_SCALARS or pa.types.is_floating(column.type):
            built[name] = numbers_of(column)
        else:
            built[name] = index_of(column)
    return pd.DataFrame(built, columns=list(table.column_names), copy=False)


def _reductions(column: Any) -> pd.Categorical:
    codes = pc.fill_null(column, -1).to_numpy()
    codes = np.where((codes >= 0) & (codes < len(LOSS_REDUCTIONS)), codes, -1)
    return pd.Categorical.from_codes(codes, dtype=REDUCTION_TYPE)  # type: ignore[arg-type]
