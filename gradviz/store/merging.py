"""Merging small parts into a larger one, row group by row group, so that it takes little memory.

What is merged stays readable until the merged part has its name; a crash anywhere in between leaves
parts that the merged one covers, or a temporary file, and a reader ignores both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.store.batches import LayerNames
from gradviz.store.columns import SCHEMAS, gradient_schema, overview_schema
from gradviz.store.files import Disk
from gradviz.store.overview import combine, roll_up
from gradviz.store.part_files import PartFile, open_part
from gradviz.store.parts import EventRange, PartWriter, parse_part_name, part_folder
from gradviz.store.statistics import layer_order
from gradviz.store.tail import MergePlan

ROW_GROUP_ROWS = 2**14
ROW_GROUPS = 32
ROWS_AT_ONCE = 2**20 + 2**19  # 90 MB decoded, twice for a moment
_NUMBERS = {
    kind: [name for name in SCHEMAS[kind]().names if name != "layer"]
    for kind in ("gradients", "distributions")
}


def row_group_rows(kind: str) -> int:
    """Rows of a row group, about: a row of distributions is as wide as many of gradients."""
    return ROW_GROUP_ROWS // 16 if kind == "distributions" else ROW_GROUP_ROWS


@dataclass(frozen=True, slots=True)
class Merger:
    """Merges parts of one rank of a run."""

    run: Path
    rank: int
    disk: Disk
    durable: bool

    def merge(self, plan: MergePlan, names: LayerNames) -> Iterator[None]:
        """Carry out a plan; pauses after each row group. Raises DamagedPartError when a source is damaged."""
        sources = [self._open("gradients", part.events) for part in plan.parts]
        alone = len(plan.parts) == 1
        if not alone:
            self._merge_events(plan)
            yield from self._merge_distributions(plan, names)
        overview: list[Any] | None = [] if plan.seals else None
        if alone and overview is not None:
            overview.extend(roll_up(table) for table in _gradient_tables(sources, names))
            self._write_overview(plan.events, overview)
            return
        yield from self._merge_gradients(plan, sources, names, overview)
        self._remove_superseded(plan.events)
        pa.default_memory_pool().release_unused()

    def _open(self, kind: str, events: EventRange) -> PartFile:
        return open_part(part_folder(self.run, kind, self.rank) / events.file_name, kind, self.disk)

    def _writer(self, kind: str, events: EventRange, schema: Any) -> PartWriter:
        return PartWriter(self.disk, part_folder(self.run, kind, self.rank), kind, events, schema)

    def _merge_events(self, plan: MergePlan) -> None:
        tables = []
        for part in plan.parts:
            source = self._open("events", part.events)
            tables.append(source.read(range(len(source.rows)), source.columns, threads=False))
        merged = pa.concat_tables(tables, promote_options="default").combine_chunks()
        with self._writer("events", plan.events, merged.schema) as target:
            target.add_row_group(merged)
            target.commit(durable=self.durable)

    def _merge_distributions(self, plan: MergePlan, names: LayerNames) -> Iterator[None]:
        present = set(self.disk.names(part_folder(self.run, "distributions", self.rank)))
        ranges = [part.events for part in plan.parts if part.events.file_name in present]
        if not ranges:
            return
        sources = [self._open("distributions", events) for events in ranges]
        with self._writer("distributions", plan.events, SCHEMAS["distributions"]()) as target:
            for table in _tables_by_cursor(sources, names, "distributions"):
                target.add_row_group(table)
                yield
            target.commit(durable=self.durable)

    def _merge_gradients(
        self, plan: MergePlan, sources: Sequence[PartFile], names: LayerNames, overview: list[Any] | None
    ) -> Iterator[None]:
        with self._writer("gradients", plan.events, gradient_schema()) as target:
            for table in _gradient_tables(sources, names):
                if overview is not None:
                    overview.append(roll_up(table))
                target.add_row_group(table)
                yield
            if overview is not None:
                self._write_overview(plan.events, overview)
            target.commit(durable=self.durable)

    def _write_overview(self, events: EventRange, tables: Sequence[Any]) -> None:
        merged = combine(pa.concat_tables([overview_schema().empty_table(), *tables]))
        with self._writer("overview", events, merged.schema) as target:
            target.add_row_group(merged)
            target.commit(durable=self.durable)

    def _remove_superseded(self, merged: EventRange) -> None:
        for kind in ("gradients", "events", "overview", "distributions"):
            folder = part_folder(self.run, kind, self.rank)
            for name in self.disk.names(folder):
                events = parse_part_name(name)
                if events is not None and events != merged and merged.covers(events):
                    with contextlib.suppress(OSError):  # the merged part hides what stays behind
                        self.disk.remove(folder / name)


def _gradient_tables(sources: Sequence[PartFile], names: LayerNames) -> Iterator[Any]:
    """Row groups of the merged part: each holds whole layers, ordered by (layer, event)."""
    if sum(int(source.rows.sum()) for source in sources) <= ROWS_AT_ONCE:
        return _tables_at_once(sources, names)
    return _tables_by_cursor(sources, names, "gradients")


def _tables_at_once(sources: Sequence[PartFile], names: LayerNames) -> Iterator[Any]:
    """All rows decoded and sorted at once: fewer, larger copies."""
    whole = pa.concat_tables(
        [source.read(range(len(source.rows)), _NUMBERS["gradients"], threads=False) for source in sources],
        promote_options="default",
    ).combine_chunks()
    layer_ids = whole.column("layer_id").to_numpy()
    order = layer_order(layer_ids)
    layer_ids = layer_ids[order]
    ends = np.flatnonzero(np.diff(layer_ids, append=-1)) + 1
    start = 0
    for cut in cut_points(ends, ROW_GROUP_ROWS):
        chosen = slice(start, int(ends[cut - 1]))
        start = chosen.stop
        yield _with_names(whole.take(pa.array(order[chosen])), layer_ids[chosen], names, gradient_schema())


def _with_names(rows: Any, layer_ids: NDArray[np.int32], names: LayerNames, schema: Any) -> Any:
    return pa.Table.from_arrays([*rows.columns, names.column(layer_ids)], schema=schema)


def _tables_by_cursor(sources: Sequence[PartFile], names: LayerNames, kind: str) -> Iterator[Any]:
    """Row group after row group, each source read front to back: little memory for any number of rows."""
    cursors = [_Cursor(source) for source in sources]
    for last_layer in _last_layers(sources, names.layer_ids, row_group_rows(kind)):
        table = _up_to(last_layer, cursors, names, kind)
        if table.num_rows:
            yield table


def _up_to(last_layer: int, cursors: Sequence[_Cursor], names: LayerNames, kind: str) -> Any:
    """The next row group. What the cursors gave for it is freed with the return: not held while it is written."""
    schema = SCHEMAS[kind]()
    taken = [table for cursor in cursors for table in cursor.take(last_layer)]
    empty = schema.empty_table().select(_NUMBERS[kind])
    rows = pa.concat_tables([empty, *taken], promote_options="default").combine_chunks()
    layer_ids = rows.column("layer_id").to_numpy()
    order = layer_order(layer_ids)
    return _with_names(rows.take(pa.array(order)), layer_ids[order], names, schema)


def _last_layers(sources: Sequence[PartFile], layer_ids: NDArray[np.int32], group_rows: int) -> list[int]:
    """Last layer of each row group of the merged part: at most 32 groups, none of which splits a layer.

    The rows of a layer are estimated from the indexes of the sources, as if each row group held
    equally many of each of its layers: the sizes of the groups need not be exact.
    """
    rows = np.zeros(len(layer_ids))
    for source in sources:
        for count, (first, last) in zip(source.rows, source.ranges["layer_id"], strict=True):
            inside = slice(np.searchsorted(layer_ids, first), np.searchsorted(layer_ids, last, side="right"))
            rows[inside] += count / max(inside.stop - inside.start, 1)
    ends = np.ceil(np.cumsum(rows)).astype(np.int64)
    return [int(layer_ids[at - 1]) for at in cut_points(ends, group_rows)]


def cut_points(ends: NDArray[np.int64], group_rows: int) -> list[int]:
    """Where to cut layers into row groups, from the cumulative rows of the layers: numbers of layers."""
    if not len(ends):
        return []
    rows = max(group_rows, -(-int(ends[-1]) // ROW_GROUPS))
    cuts, before = [], 0
    for at, end in enumerate(ends.tolist(), start=1):
        if end - before >= rows or at == len(ends):
            cuts.append(at)
            before = end
    return cuts


class _Cursor:
    """Reads a part that is sorted by layer, front to back, holding one row group at a time."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._next = 0
        self._table: Any = None
        self._layer_ids = np.empty(0, dtype=np.int32)

    def take(self, last_layer: int) -> Iterator[Any]:
        """Rows of the layers up to `last_layer` that were not taken yet."""
        while self._table is not None or self._load(last_layer):
            stop = int(np.searchsorted(self._layer_ids, last_layer, side="right"))
            yield self._table.slice(0, stop)
            if stop < len(self._layer_ids):
                self._table, self._layer_ids = self._table.slice(stop), self._layer_ids[stop:]
                return
            self._table = None

    def _load(self, last_layer: int) -> bool:
        if self._next >= len(self._part.rows) or self._part.ranges["layer_id"][self._next, 0] > last_layer:
            return False
        self._table = self._part.read([self._next], _NUMBERS[self._part.kind], threads=False)
        self._layer_ids = self._table.column("layer_id").to_numpy()
        self._next += 1
        return True
