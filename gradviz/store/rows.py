"""Rows of a run as Arrow tables: row groups chosen by their ranges, damage skipped, tails rolled up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError
from gradviz.schema import PHASES
from gradviz.store.columns import SCHEMAS, event_schema
from gradviz.store.moments import MOMENT
from gradviz.store.overviews import Asked, Overviews
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import DamagedPart, PartSet
from gradviz.store.parts import EventRange, parse_part_name
from gradviz.store.query import Query
from gradviz.store.reading_ahead import Found, read_ahead
from gradviz.store.selecting import (
    batches_of,
    between,
    check_room,
    filter_columns,
    groups_of,
    runs_of,
    select,
    windows_in,
    within,
)

PIECE_ROWS = 2**19  # rows of a piece: some 30 MB, of which two are in memory


class RunRows:
    """Reads the parts of a rank. Every method may raise FileNotFoundError when a merge came between."""

    def __init__(self, run: Path, check_layers: Callable[[NDArray[np.int32]], None], rank: int = 0) -> None:
        self._check_layers = check_layers
        self.damaged: dict[str, DamagedPart] = {}
        self.gradient_parts = PartSet(run, "gradients", rank, self.damaged)
        self.event_parts = PartSet(run, "events", rank, self.damaged)
        self.overview_parts = PartSet(run, "overview", rank, self.damaged)
        self.distribution_parts = PartSet(run, "distributions", rank, self.damaged)
        self.part_sets = (self.gradient_parts, self.event_parts, self.overview_parts, self.distribution_parts)
        self._overviews = Overviews(self.overview_parts, self.gradient_parts, self._read)
        self._known: tuple[object, dict[str, Any]] = (None, {})

    def gradients(self, query: Query) -> Any:
        """Rows of a query; within a layer they ascend by event."""
        return self._of_layers(self.gradient_parts, query)

    def pieces(self, query: Query, first_event: int = 0) -> Iterator[tuple[int, Any]]:
        """Rows of a query from `first_event` on, part by part and some row groups at a time, as they are stored.

        Yields the first event that was not given yet, and a table; within a layer rows ascend by event.
        Raises FileNotFoundError only between parts: it can go on from there.
        """
        needed = list(dict.fromkeys(["event", "layer_id", *query.columns]))
        parts = [part for part in self.gradient_parts.current() if part.events.last >= first_event]
        batches = (
            (part, groups)
            for part in parts
            for groups in batches_of(part, groups_of(part, query), PIECE_ROWS)
        )
        begin = first_event
        for part, found in read_ahead(batches, list(dict.fromkeys([*needed, *filter_columns(query)]))):
            skipped = begin if part.events.first < begin else 0
            for table in self._sound(part, found):
                yield part.events.last + 1, select(table, query, skipped).select(needed)

    def distributions(self, query: Query) -> Any:
        """Rows of a query, as above, whose gradients part is in place; none where none were recorded."""
        table = self._of_layers(self.distribution_parts, query)
        return table.filter(pa.array(within(table.column("event").to_numpy(), self._committed())))

    def _of_layers(self, parts: PartSet, query: Query) -> Any:
        columns = [name for name in query.columns if name != "layer"]
        needed = list(dict.fromkeys(["layer_id", *columns]))
        read = list(dict.fromkeys([*needed, *filter_columns(query)]))
        chosen = [(part, groups_of(part, query)) for part in parts.current()]
        check_room(chosen, read)
        tables = [SCHEMAS[parts.kind]().empty_table().select(needed)]
        for part, groups in chosen:
            for batch in batches_of(
                part, groups, PIECE_ROWS
            ):  # one update of all layers is a few rows of each group
                tables += [select(table, query).select(needed) for table in self._read(part, batch, read)]
        return pa.concat_tables(tables, promote_options="default")

    def events(self, updates: tuple[int, int] | None, columns: Sequence[str] | None = None) -> Any:
        """Rows of events whose gradients part is in place: that part is the commit."""
        committed = self._committed()
        schema = event_schema()
        tables = [schema.empty_table().select(list(columns or schema.names))]
        for part in self.event_parts.current():
            every = np.ones(len(part.rows), dtype=bool)
            wanted = part.groups_between("update", *updates) if updates else every
            tables += self._read(part, np.flatnonzero(wanted).tolist(), columns or part.columns)
        table = pa.concat_tables(tables, promote_options="default")
        if updates:
            table = table.filter(pa.array(between(table.column("update").to_numpy(), *updates)))
        return table.filter(pa.array(within(table.column("event").to_numpy(), committed)))

    def _committed(self) -> list[EventRange]:
        return [
            events for name in self.gradient_parts.names() if (events := parse_part_name(name)) is not None
        ]

    def overview(self, asked: Asked) -> Any:
        """Rows of the overview."""
        return self._overviews.table(asked)

    @property
    def last_event(self) -> int | None:
        """Number of the last event on disk; None while there is nothing yet."""
        parts = self.gradient_parts.current()
        return parts[-1].events.last if parts else None

    @property
    def windows(self) -> tuple[int, int] | None:
        """First and last update with an event that is more than a reset; None while there is none."""
        found: tuple[int, int] | None = self._once("windows", self._found_windows)
        return found

    def _once(self, name: str, find: Callable[[], Any]) -> Any:
        """What `find` gives, kept until parts come or go or damage is met."""
        state = (self.parts_key(), len(self.damaged))
        if self._known[0] != state:
            self._known = (state, {})
        if name not in self._known[1]:
            self._known[1][name] = find()
        return self._known[1][name]

    def _found_windows(self) -> tuple[int, int] | None:
        parts, committed = self.event_parts.current(), self._committed()
        first = self._windows_of_first(parts, committed)
        last = self._windows_of_first(parts[::-1], committed)
        return None if first is None or last is None else (first[0], last[1])

    def _windows_of_first(
        self, parts: Sequence[PartFile], committed: Sequence[EventRange]
    ) -> tuple[int, int] | None:
        for part in parts:
            for table in self._read(part, range(len(part.rows)), ["event", "update", "phase"]):
                if (found := windows_in(table, committed)) is not None:
                    return found
        return None

    def moments(self) -> Any:
        """What each event is (`MOMENT`), ascending; where an events part is damaged, as the gradients tell."""
        tables = [self.events(None, list(MOMENT))]
        for part in self._unlisted():
            for table in self._read(part, range(len(part.rows)), list(MOMENT)):
                _, first = np.unique(table.column("event").to_numpy(), return_index=True)
                tables.append(table.take(pa.array(first)))
        moments = pa.concat_tables(tables)
        return moments.take(pa.array(np.unique(moments.column("event").to_numpy(), return_index=True)[1]))

    def parts_key(self, updates: tuple[int, int] | None = None) -> list[Path]:
        """The parts, or those that may hold rows of these updates: with others the answers change."""
        parts = [*self.event_parts.current(), *self.gradient_parts.current()]
        if updates is not None:
            parts = [part for part in parts if part.groups_between("update", *updates).any()]
        return [part.path for part in parts]

    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of event numbers, from 0 to the last one on disk, of which no row can be read."""
        return list(self._once("gaps", self._found_gaps))

    def _found_gaps(self) -> list[tuple[int, int]]:
        if not self.gradient_parts.current():
            return []
        listed = self.events(None, ["event", "update"]).column("event").to_numpy()
        seen = np.zeros(1 + max(events.last for events in self._committed()), dtype=bool)
        seen[listed[(listed >= 0) & (listed < len(seen))]] = True
        for part in self._unlisted():
            seen[part.events.first : part.events.last + 1] = True
        return runs_of(~(seen & self.readable(np.arange(len(seen)))))

    def _unlisted(self) -> list[PartFile]:
        """Gradients parts whose events part is damaged: they alone say what is there."""
        known = [part.events for part in self.event_parts.current()]
        parts = self.gradient_parts.current()
        return [part for part in parts if not any(whole.covers(part.events) for whole in known)]

    def readable(self, events: NDArray[Any]) -> NDArray[np.bool_]:
        """Which event numbers lie in a part that can be read."""
        return within(events, [part.events for part in self.gradient_parts.current()])

    def verify(self) -> None:
        """Decode every page once; what is damaged is in `damaged` afterwards."""
        for parts in self.part_sets:
            for part in parts.current():
                for group in range(len(part.rows)):
                    self._read(part, [group], [name for name in part.columns if name != "layer"])

    def _read(self, part: PartFile, groups: Sequence[int], columns: Sequence[str]) -> list[Any]:
        """Read row groups; when one is damaged, the others of the part are still read."""
        if not len(groups):
            return []
        try:
            return [self._checked(part.read(groups, columns), part)]
        except DamagedPartError as error:
            if len(groups) == 1:
                self._report(part, groups[0], error)
                return []
        return [table for group in groups for table in self._read(part, [group], columns)]

    def _report(self, part: PartFile, group: int, error: DamagedPartError) -> None:
        reporter = next(parts for parts in self.part_sets if parts.kind == part.kind)
        reporter.report(part.path, part.events, f"{error} (row group {group})")

    def _sound(self, part: PartFile, found: Found) -> Iterator[Any]:
        """What was read of a part, as far as it is not damaged."""
        for groups, table in found:
            try:
                if isinstance(table, DamagedPartError):
                    raise table
                yield self._checked(table, part)
            except DamagedPartError as error:
                if len(groups) == 1:
                    self._report(part, groups[0], error)
                    continue
                ends = np.cumsum(part.rows[groups])
                slices = [
                    table.slice(end - part.rows[group], part.rows[group])
                    for group, end in zip(groups, ends, strict=True)
                ]
                yield from self._sound(
                    part, [([group], rows) for group, rows in zip(groups, slices, strict=True)]
                )

    def _checked(self, table: Any, part: PartFile) -> Any:
        """The table, when its index columns can be what a writer writes; else DamagedPartError."""
        for column in SCHEMAS[part.kind]():
            here = not column.nullable and column.name in table.column_names
            if here and table.column(column.name).null_count:
                raise DamagedPartError(f"{part.path.name}: nulls in {column.name!r}")
        if "phase" in table.column_names and table.num_rows:
            phases = table.column("phase").to_numpy()
            if phases.min() < 0 or phases.max() >= len(PHASES):
                raise DamagedPartError(f"{part.path.name}: a phase that does not exist")
        if "layer_id" in table.column_names:
            layer_ids = table.column("layer_id").to_numpy()
            self._check_layers(np.append(layer_ids[:1], layer_ids[1:][layer_ids[1:] != layer_ids[:-1]]))
        return table
