"""Rows of a run as Arrow tables: row groups chosen by their ranges, damage skipped, tails rolled up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError
from gradviz.store.columns import SCHEMAS, event_schema
from gradviz.store.moments import MOMENT, completed
from gradviz.store.overviews import Asked, Overviews
from gradviz.store.part_files import PartFile, check_rows
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
            # one update of all layers is a few rows of each group
            for batch in batches_of(part, groups, PIECE_ROWS):
                tables += [select(table, query).select(needed) for table in self._read(part, batch, read)]
        return pa.concat_tables(tables, promote_options="default")

    def events(self, updates: tuple[int, int] | None, columns: Collection[str] | None = None) -> Any:
        """Rows of events whose gradients part is in place: that part is the commit.

        Of `columns` (`MOMENT` among them; None for all) those there are; of a damaged events part `MOMENT` alone.
        """
        empty = event_schema().empty_table()
        tables = [empty.select([name for name in empty.column_names if columns is None or name in columns])]
        for part in self.event_parts.current():
            among = part.groups_between("update", *updates) if updates else part.rows >= 0
            names = [name for name in part.columns if columns is None or name in columns]
            tables += self._read(part, np.flatnonzero(among).tolist(), names)
        table = pa.concat_tables(tables, promote_options="default")
        if self._unlisted():
            table = completed(table, self._once("unlisted", self._moments_of_unlisted))
        if updates:
            table = table.filter(pa.array(between(table.column("update").to_numpy(), *updates)))
        return table.filter(pa.array(within(table.column("event").to_numpy(), self._committed())))

    def _moments_of_unlisted(self) -> Any:
        parts, empty = self._unlisted(), event_schema().empty_table().select(list(MOMENT))
        found = [table for part in parts for table in self._read(part, range(len(part.rows)), list(MOMENT))]
        return pa.concat_tables([empty, *found], promote_options="default")

    def _committed(self) -> list[EventRange]:
        ranges = map(parse_part_name, self.gradient_parts.names())
        return [events for events in ranges if events is not None]

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
        spans = [self._windows_of_first(parts, committed), self._windows_of_first(parts[::-1], committed)]
        if self._unlisted():
            spans.append(windows_in(self._once("unlisted", self._moments_of_unlisted), committed))
        found = [span for span in spans if span is not None]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def _windows_of_first(
        self, parts: Sequence[PartFile], committed: Sequence[EventRange]
    ) -> tuple[int, int] | None:
        for part in parts:
            for table in self._read(part, range(len(part.rows)), ["event", "update", "phase"]):
                if (found := windows_in(table, committed)) is not None:
                    return found
        return None

    def moments(self) -> Any:
        """What each event is (`MOMENT`), ascending."""
        return self.events(None, MOMENT)

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
        listed = self.moments().column("event").to_numpy()
        seen = np.zeros(1 + max(events.last for events in self._committed()), dtype=bool)
        seen[listed[(listed >= 0) & (listed < len(seen))]] = True
        return runs_of(~(seen & self.readable(np.arange(len(seen)))))

    def _unlisted(self) -> list[PartFile]:
        """Gradients parts whose events part is damaged, all of it or in places: they tell what it held."""
        known, folder = [part.events for part in self.event_parts.current()], self.event_parts.folder
        lost = [one for one in self.damaged.values() if one.path.parent == folder]
        return [
            part
            for part in self.gradient_parts.current()
            if not any(whole.covers(part.events) for whole in known)
            or any(
                one.first_event <= part.events.last and one.last_event >= part.events.first for one in lost
            )
        ]

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
        check_rows(table, part)
        if "layer_id" in table.column_names:
            layer_ids = table.column("layer_id").to_numpy()
            self._check_layers(np.append(layer_ids[:1], layer_ids[1:][layer_ids[1:] != layer_ids[:-1]]))
        return table
