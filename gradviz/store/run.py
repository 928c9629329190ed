"""`Run`: a recorded training, read. Nothing here ever writes, and a live run may be read at any time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]

from gradviz.errors import DamagedPartError, QueryError
from gradviz.schema import Phase, RunState
from gradviz.store import manifest as manifests
from gradviz.store.columns import event_schema, gradient_schema
from gradviz.store.frames import LayerOrder, event_frame, gradient_frame, layer_frame
from gradviz.store.heartbeat import read_heartbeat, state_of
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import DamagedPart, PartSet
from gradviz.store.parts import EventRange, parse_part_name
from gradviz.store.query import Query, check_query, check_updates

QUERY_LIMIT = 2**33  # bytes of one query's table
RETRIES = 20
T = TypeVar("T")


def open_run(path: str | Path) -> Run:
    """Open a recorded run: live, finished, crashed or damaged.

    Raises:
        RunNotFoundError: there is no run at that path.
        RunFormatError: its `run.json` is not ours, is damaged, or is of a newer format.
    """
    return Run(Path(path))


class Run:
    """One recorded training. Each query looks at the folder anew, so a live run grows under the reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: object = None
        self._damaged: dict[str, DamagedPart] = {}
        self._sets = {kind: PartSet(path, kind, self._damaged) for kind in ("gradients", "events", "overview")}
        self._load()

    def _load(self) -> None:
        """Read `run.json` again when it was replaced (a layer was added)."""
        stamp = manifests.stamp(self.path)
        if stamp is not None and stamp == self._stamp:
            return
        manifest = manifests.read_manifest(self.path)
        layers = manifests.layers_of(manifest, self.path)
        self._manifest = manifest
        self._layers = layer_frame(layers, manifests.forward_order_of(manifest))
        self._order = LayerOrder(self._layers)
        self._stamp = stamp

    @property
    def name(self) -> str:
        """The run's name as it was given."""
        return str(self._manifest.get("name", self.path.name))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What `run.json` holds, without the table of layers."""
        self._load()
        return MappingProxyType({key: value for key, value in self._manifest.items() if key != "layers"})

    @property
    def layers(self) -> pd.DataFrame:
        """Table of layers in forward order (else in the order of registration); a copy."""
        self._load()
        return self._layers.copy()

    @property
    def state(self) -> RunState:
        """How the run stands now."""
        return state_of(self.path, read_heartbeat(self.path))

    @property
    def dropped(self) -> int:
        """Events that the writer dropped and counted."""
        heartbeat = read_heartbeat(self.path)
        return heartbeat.dropped if heartbeat else 0

    @property
    def damaged(self) -> list[DamagedPart]:
        """Parts that cannot be read: footers are checked here, pages whenever they are read."""
        for parts in self._sets.values():
            self._retry(parts.current)
        return sorted(self._damaged.values(), key=lambda part: (part.first_event, str(part.path)))

    def gradients(
        self,
        *,
        layers: str | Iterable[str] | None = None,
        updates: tuple[int, int] | None = None,
        phases: str | Phase | Iterable[str | Phase] | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Statistics of gradients: one row an event and layer, ordered by layer (forward order) and event.

        Args:
            layers: names of layers; None for all.
            updates: inclusive pair (first, last); None for all.
            phases: names of phases; None for all.
            columns: the columns wanted; fewer are faster.

        Float columns are NaN where there is no value *and* where the value is NaN; `nonfinite` (nullable)
        tells them apart: it is <NA> where there was no gradient and positive where it was not finite.

        Raises:
            QueryError: a layer, phase or column that does not exist.
        """
        self._load()
        query = check_query(self._layers, layers, updates, phases, columns)
        return self._retry(lambda: self._gradients(query))

    def _gradients(self, query: Query) -> pd.DataFrame:
        columns = [name for name in query.columns if name != "layer"]
        needed = list(dict.fromkeys(["layer_id", *columns]))
        filters = [*(["update"] if query.updates else []), *(["phase"] if query.phases is not None else [])]
        schema = gradient_schema()
        read = list(dict.fromkeys([*needed, *filters]))
        chosen = [(part, _groups(part, query)) for part in self._sets["gradients"].current()]
        _check_room(chosen, read)
        tables = [schema.empty_table().select(needed)]
        for part, groups in chosen:
            tables.extend(self._rows(part, groups, read, needed, query))
        return gradient_frame(pa.concat_tables(tables), self._order, query.columns)

    def _rows(
        self, part: PartFile, groups: Sequence[int], read: Sequence[str], needed: Sequence[str], query: Query
    ) -> list[Any]:
        return [_select(table, query).select(needed) for table in self._read(part, groups, read)]

    def _read(self, part: PartFile, groups: Sequence[int], columns: Sequence[str]) -> list[Any]:
        """Read row groups; when one is damaged, the others of the part are still read."""
        if not len(groups):
            return []
        try:
            return [part.read(groups, columns)]
        except DamagedPartError as error:
            if len(groups) == 1:
                events = parse_part_name(part.path.name) or EventRange(0, 0)
                self._sets[part.kind].report(part.path, events, f"{error} (row group {int(groups[0])})")
                return []
        return [table for group in groups for table in self._read(part, [group], columns)]

    def events(self, *, updates: tuple[int, int] | None = None) -> pd.DataFrame:
        """One row an event: `event, update, micro_step, phase, seconds`, the loss, `lr`, what was logged."""
        chosen = check_updates(updates)
        return self._retry(lambda: event_frame(self._events(chosen)))

    def _events(self, updates: tuple[int, int] | None, columns: Sequence[str] | None = None) -> Any:
        committed = [parse_part_name(name) for name in self._sets["gradients"].names()]
        tables = [event_schema().empty_table() if columns is None else event_schema().empty_table().select(columns)]
        for part in self._sets["events"].current():
            groups = np.arange(len(part.rows))
            if updates is not None:
                groups = np.flatnonzero(part.groups_between("update", *updates))
            tables.extend(self._read(part, groups.tolist(), columns or part.columns))
        table = pa.concat_tables(tables, promote_options="default")
        if updates is not None:
            table = table.filter(_between(table.column("update"), *updates))
        return table.filter(_within(table.column("event"), [events for events in committed if events]))

    @property
    def updates(self) -> tuple[int, int] | None:
        """First and last update that has rows; None while there is nothing yet."""
        parts = self._retry(self._sets["gradients"].current)
        ranges = [part.ranges["update"] for part in parts if len(part.rows)]
        if not ranges:
            return None
        return int(min(pairs[:, 0].min() for pairs in ranges)), int(max(pairs[:, 1].max() for pairs in ranges))

    @property
    def last_event(self) -> int | None:
        """Number of the last event on disk; None while there is nothing yet."""
        parts = self._retry(self._sets["gradients"].current)
        events = parse_part_name(parts[-1].path.name) if parts else None
        return events.last if events else None

    def fingerprint(self) -> Hashable:
        """A value that changes when new rows or layers arrive."""
        names = [name for kind in ("gradients", "overview") for name in self._sets[kind].names() if name[0] != "."]
        return (str(self.path), manifests.stamp(self.path), tuple(names))

    def _retry(self, query: Callable[[], T]) -> T:
        """Run a query; when a merge removed a part under it, look again."""
        for _ in range(RETRIES):
            try:
                return query()
            except FileNotFoundError:
                continue
        return query()


def _groups(part: PartFile, query: Query) -> list[int]:
    wanted = np.ones(len(part.rows), dtype=bool)
    if query.layer_ids is not None:
        wanted &= part.groups_with("layer_id", query.layer_ids)
    if query.updates is not None:
        wanted &= part.groups_between("update", *query.updates)
    return [int(group) for group in np.flatnonzero(wanted)]


def _check_room(chosen: Sequence[tuple[PartFile, Sequence[int]]], columns: Sequence[str]) -> None:
    rows = sum(int(part.rows[list(groups)].sum()) for part, groups in chosen)
    if rows * len(columns) * 8 > QUERY_LIMIT:
        raise QueryError(f"{rows:,} rows of {len(columns)} columns are too many for one table; "
                         "ask for fewer layers=, updates= or columns=.")  # fmt: skip


def _select(table: Any, query: Query) -> Any:
    masks = []
    if query.layer_ids is not None:
        masks.append(np.isin(table.column("layer_id").to_numpy(), query.layer_ids))
    if query.updates is not None:
        masks.append(_between(table.column("update"), *query.updates).to_numpy())
    if query.phases is not None:
        masks.append(np.isin(table.column("phase").to_numpy(), query.phases))
    return table.filter(pa.array(np.logical_and.reduce(masks))) if masks else table


def _between(column: Any, first: int, last: int) -> Any:
    return pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))


def _within(column: Any, ranges: Sequence[EventRange]) -> Any:
    values = column.to_numpy()
    kept = np.zeros(len(values), dtype=bool)
    for events in ranges:
        kept |= (values >= events.first) & (values <= events.last)
    return pa.array(kept)
