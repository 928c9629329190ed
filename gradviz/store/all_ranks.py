"""Rows of a run that several ranks recorded: read rank by rank, matched by moment, combined."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.schema import Phase, RunState
from gradviz.store.columns import UPDATES_PER_BLOCK, overview_schema
from gradviz.store.combining import NEEDED, combine_distributions, combine_events, combine_gradients
from gradviz.store.heartbeat import read_heartbeat, state_of
from gradviz.store.moments import Moments, match_moments
from gradviz.store.overview import NEEDED as ROLLED
from gradviz.store.overview import combine, roll_up
from gradviz.store.overviews import Asked, coarseness
from gradviz.store.query import Query
from gradviz.store.rank_files import file_name, read_rank_file
from gradviz.store.rows import RunRows
from gradviz.store.selecting import between, runs_of
from gradviz.store.shards import Shards, find_shards

ROWS_AT_ONCE = 2**21  # of a chunk of the overview, or of a piece: some 300 MB for a moment
MEASURED = np.array([Phase.MICRO_STEP, Phase.UPDATE], dtype=np.int8)


class AllRanks:
    """The same questions as to `RunRows`, answered for all ranks together."""

    def __init__(self, run: Path, rows: Mapping[int, RunRows], layers: Callable[[], pd.DataFrame]) -> None:
        self.rows = dict(sorted(rows.items()))
        self._run, self._layers = run, layers
        self._moments: tuple[object, Moments] | None = None
        self._shards: tuple[object, Shards] | None = None
        self._rolled_up: dict[tuple[int, int], tuple[object, Any]] = {}

    def moments(self) -> Moments:
        """The events of all ranks, matched; kept until there are new ones."""
        key = [rows.parts_key() for rows in self.rows.values()]
        if self._moments is None or self._moments[0] != key:
            self._moments = (key, match_moments({rank: rows.moments() for rank, rows in self.rows.items()}))
        return self._moments[1]

    def shards(self) -> Shards:
        """What each rank holds; kept until a rank's file or the table of layers changes."""
        table = self._layers()
        key = (id(table), [_stamp(self._run / file_name(rank)) for rank in self.rows])
        if self._shards is None or self._shards[0] != key:
            by_id = table.sort_values("layer_id")
            files = {rank: read_rank_file(self._run, rank) for rank in self.rows}
            ids, numels = by_id["layer_id"].to_numpy(), by_id["numel"].to_numpy()
            self._shards = (key, find_shards(list(self.rows), files, ids, numels))
        return self._shards[1]

    def gradients(self, query: Query) -> Any:
        """Rows of a query; within a layer they ascend by event."""
        columns = [name for name in query.columns if name != "layer"]
        wide = replace(query, columns=tuple(dict.fromkeys([*NEEDED, *columns])))
        tables = [rows.gradients(wide) for rows in self.rows.values()]
        tables, numbers = self._numbered(tables)
        ids = np.sort(self._layers()["layer_id"].to_numpy())
        return combine_gradients(tables, numbers, self.shards(), ids, columns)

    def pieces(self, query: Query, first_layer: int = 0) -> Iterator[tuple[int, Any]]:
        """Rows of a query, some layers at a time: the first `layer_id` that was not given yet, and a table."""
        ids = np.sort(self._layers()["layer_id"].to_numpy(dtype=np.int64))
        wanted = ids if query.layer_ids is None else query.layer_ids
        update = self.moments().update
        events = len(update) if query.updates is None else int(between(update, *query.updates).sum())
        size = max(1, ROWS_AT_ONCE // max(events * len(self.rows), 1))
        columns = tuple(dict.fromkeys(["event", "layer_id", *query.columns]))
        left = wanted[wanted >= first_layer]
        for start in range(0, len(left), size):
            chosen = left[start : start + size]
            table = self.gradients(replace(query, layer_ids=chosen, columns=columns))
            yield int(chosen[-1]) + 1, table.select(list(columns))

    def distributions(self, query: Query) -> Any:
        """Rows of a query, as above."""
        wide = replace(query, columns=tuple(dict.fromkeys([*NEEDED, *query.columns])))
        tables, numbers = self._numbered([rows.distributions(wide) for rows in self.rows.values()])
        ids = np.sort(self._layers()["layer_id"].to_numpy())
        return combine_distributions(tables, numbers, self.shards(), ids)

    def events(self, updates: tuple[int, int] | None, columns: Collection[str] | None = None) -> Any:
        """Events of all ranks, with the number of `ranks` that have each."""
        tables, numbers = self._numbered([rows.events(updates, columns) for rows in self.rows.values()])
        return combine_events(tables, numbers, partial(_expected, self.shards()))

    def _numbered(self, tables: Sequence[Any]) -> tuple[list[Any], list[NDArray[np.int64]]]:
        """Tables of each rank and the numbers of their rows; a row that came after the moments waits."""
        moments = self.moments()
        kept, numbers = [], []
        for rank, table in zip(self.rows, tables, strict=True):
            number, known = moments.numbers(rank, table.column("event").to_numpy())
            kept.append(table if known.all() else table.filter(pa.array(known)))
            numbers.append(number[known])
        return kept, numbers

    def overview(self, asked: Asked) -> Any:
        """The roll-up of the combined rows, block by block; blocks that are over are kept."""
        kept, self._rolled_up, empty = self._rolled_up, {}, overview_schema().empty_table()
        for chunk in self._chunks():
            key = [rows.parts_key(chunk) for rows in self.rows.values()]
            before = kept.get(chunk)
            if before is None or before[0] != key:
                query = Query(None, chunk, MEASURED, ROLLED)
                before = (key, roll_up(self.gradients(query)))
            self._rolled_up[chunk] = before
        rolled = combine(pa.concat_tables([empty, *(table for _, table in self._rolled_up.values())]))
        table = asked.of(rolled)
        first, stride = coarseness([], [table], asked.most_blocks)
        return combine(table, stride, first) if stride > 1 else table

    def _chunks(self) -> list[tuple[int, int]]:
        """Ranges of updates of a bounded number of rows, cut where blocks end."""
        update = self.moments().update
        if not len(update):
            return []
        first, last = int(update.min()), int(update.max())
        rows = len(self._layers()) * len(update) * len(self.rows) / (last - first + 1)
        size = UPDATES_PER_BLOCK * max(1, int(ROWS_AT_ONCE / max(rows, 1.0)) // UPDATES_PER_BLOCK)
        start = first - first % size
        return [(begin, begin + size - 1) for begin in range(start, last + 1, size)]

    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of numbers that a rank lacks which took part, or that no rank has.

        Of a rank that still lives, what it has not written yet is no gap.
        """
        moments, shards = self.moments(), self.shards()
        if not len(moments.number):
            return []
        part = shards.takes_part[shards.segment_of(moments.update)]
        complete = np.ones(len(moments.number), dtype=bool)
        for place, (rank, rows) in enumerate(self.rows.items()):
            own = moments.own[rank]
            readable = rows.readable(own)
            there = np.zeros(len(complete), dtype=bool)
            there[moments.place[rank][readable]] = True
            expected = part[:, place].copy()
            if state_of(self._run, read_heartbeat(self._run, rank), rank) is RunState.LIVE:
                last = int(moments.place[rank].max()) if len(own) else -1
                expected[last + 1 :] = False
            complete &= there | ~expected
        seen = np.zeros(1 + int(moments.number[-1]), dtype=bool)
        seen[moments.number[complete]] = True
        return runs_of(~seen)

    @property
    def windows(self) -> tuple[int, int] | None:
        """First and last update with an event of any rank that is more than a reset."""
        found = [span for rows in self.rows.values() if (span := rows.windows) is not None]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    @property
    def last_event(self) -> int | None:
        """Number of the last moment of any rank."""
        number = self.moments().number
        return int(number[-1]) if len(number) else None


def _expected(shards: Shards, update: NDArray[Any]) -> NDArray[np.int64]:
    """How many ranks take part in each update."""
    counted: NDArray[np.int64] = shards.takes_part.sum(axis=1)[shards.segment_of(update)]
    return counted


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
