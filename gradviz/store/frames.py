"""Rows of parts, turned into the frames that the analysis reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from gradviz.schema import PHASES, Layer
from gradviz.store.columns import COUNTS, INTEGER_SCALARS, LOSS_REDUCTIONS

Positions = NDArray[np.int16] | NDArray[np.int32]
NO_GRADIENT = -1  # of a count
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
        by_id = np.argsort(ids)
        self._ids = ids[by_id]
        self._positions: Positions = by_id.astype(np.int16) if len(ids) < 2**15 else by_id.astype(np.int32)
        self.dtype = pd.CategoricalDtype(table["layer"].tolist())

    def knows(self, layer_ids: NDArray[np.integer[Any]]) -> bool:
        """Whether each of these layers is in the table."""
        return bool(np.isin(layer_ids, self._ids).all())

    def positions(self, layer_ids: NDArray[np.integer[Any]]) -> Positions:
        """Positions of layers that are all in the table."""
        return self._positions[np.searchsorted(self._ids, layer_ids)]


def numbers_of(column: Any) -> Any:
    """A column of numbers for a frame: floats have NaN where null, counts are nullable integers."""
    chunk = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_floating(chunk.type):
        return chunk.to_numpy(zero_copy_only=False)
    values = pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(np.array(values), np.asarray(chunk.is_null(), dtype=bool))


def arrays_of(table: Any) -> dict[str, NDArray[Any]]:
    """Columns of gradient rows as they are stored; floats are NaN where null, counts -1."""
    arrays = {}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count:
            column = pc.fill_null(column, NO_GRADIENT if name in COUNTS else np.nan)
        arrays[name] = column.to_numpy()
    return arrays


def gradient_frame(table: Any, order: LayerOrder, columns: Sequence[str]) -> pd.DataFrame:
    """Frame of gradient rows that ascend by event within each layer, ordered by (position, event)."""
    positions = order.positions(table.column("layer_id").to_numpy())
    arrange = _stable_order(positions)
    if arrange is not None:
        positions = positions[arrange]
    built: dict[str, Any] = {}
    for name in columns:
        if name == "layer":
            built[name] = pd.Categorical.from_codes(positions, dtype=order.dtype)
            continue
        column = table.column(name)
        values = (
            numbers_of(column) if name in COUNTS or pa.types.is_floating(column.type) else column.to_numpy()
        )
        values = values if arrange is None else values[arrange]
        built[name] = phase_column(values) if name == "phase" else values
    return pd.DataFrame(built, columns=list(columns), copy=False)


def phase_column(codes: NDArray[np.int8]) -> pd.Categorical:
    """Phases by their names."""
    return pd.Categorical.from_codes(codes, dtype=PHASE_TYPE)


def _stable_order(positions: Positions) -> NDArray[np.intp] | None:
    """Order that sorts by position and keeps events in order; None when it is so already."""
    if len(positions) < 2 or bool((positions[1:] >= positions[:-1]).all()):
        return None
    return np.argsort(positions, kind="stable")


def event_frame(table: Any) -> pd.DataFrame:
    """Frame of events; scalars that an event does not have are NaN (or <NA> for counts).

    `loss_is_nan` tells a loss that was recorded as NaN from one that is not known.
    """
    built: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if name == "phase":
            built[name] = phase_column(column.to_numpy())
        elif name == "loss_reduction":
            built[name] = _reductions(column)
        elif name in INTEGER_SCALARS or pa.types.is_floating(column.type):
            built[name] = numbers_of(column)
        else:
            built[name] = column.to_numpy()
    if "loss" in built:
        built["loss_is_nan"] = np.isnan(built["loss"]) & np.asarray(table.column("loss").is_valid())
    return pd.DataFrame(built, copy=False)


def _reductions(column: Any) -> pd.Categorical:
    codes = pc.fill_null(column, -1).to_numpy()
    codes = np.where((codes >= 0) & (codes < len(LOSS_REDUCTIONS)), codes, -1)
    return pd.Categorical.from_codes(codes, dtype=REDUCTION_TYPE)


def overview_frame(table: Any, order: LayerOrder) -> pd.DataFrame:
    """Frame of overview rows, ordered by (position, block)."""
    positions = order.positions(table.column("layer_id").to_numpy())
    arrange = _stable_order(positions)
    arrange = np.arange(len(positions)) if arrange is None else arrange
    built: dict[str, Any] = {"layer": pd.Categorical.from_codes(positions[arrange], dtype=order.dtype)}
    for name in table.column_names:
        if name != "layer_id":
            built[name] = table.column(name).to_numpy()[arrange]  # NaN where null: a block without such rows
    return pd.DataFrame(built, copy=False)
