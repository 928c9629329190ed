"""The overview of a whole run: that of its segments, and its unsealed tail rolled up now; kept for the next query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.store.columns import UPDATES_PER_BLOCK, overview_schema
from gradviz.store.overview import NEEDED, combine, roll_up
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import PartSet
from gradviz.store.parts import EventRange

KEPT_CELLS = 2**22  # of a combined overview (some 30 MB) up to which it is kept for the next query
KEPT_TABLES = 4
LAST = 2**31 - 1  # update

Read = Callable[[PartFile, Sequence[int], Sequence[str]], list[Any]]


@dataclass(frozen=True)
class Asked:
    """What is wanted of an overview.

    `columns` as they are in the files; neighbouring blocks are added up where there are more than `most_blocks`;
    `updates` is an inclusive pair, None: all.
    """

    columns: tuple[str, ...] = tuple(overview_schema().names)
    most_blocks: int | None = None
    updates: tuple[int, int] | None = None

    @property
    def blocks(self) -> tuple[int, int]:
        """First and last block that may have rows."""
        first, last = self.updates or (0, LAST)
        return first // UPDATES_PER_BLOCK, last // UPDATES_PER_BLOCK

    def of(self, table: Any) -> Any:
        """The rows and columns wanted of overview rows."""
        if self.updates is not None:
            begins, ends = (table.column(name).to_numpy() for name in ("first_update", "last_update"))
            table = table.filter(pa.array((ends >= self.updates[0]) & (begins <= self.updates[1])))
        return table.select(list(self.columns))


class Overviews:
    """Overviews of one rank; the last ones are kept as long as the parts and the damage are the same."""

    def __init__(self, sealed: PartSet, gradients: PartSet, read: Read) -> None:
        self._sealed, self._gradients, self._read = sealed, gradients, read
        self._rolled_up: dict[EventRange, Any] = {}
        self._kept: dict[object, Any] = {}
        self._state: object = None

    def table(self, asked: Asked) -> Any:
        """Rows of the whole run, or of the blocks that have some of the updates asked for."""
        sealed, parts = self._sealed.current(), self._gradients.current()
        state = ([part.path for part in [*sealed, *parts]], len(self._sealed.found_damaged))
        if self._state != state:
            self._state, self._kept = state, {}
        table = self._kept.get(asked)
        if table is None:
            table = self._combined(sealed, parts, asked)
            self._keep(asked, table)
        return table

    def _keep(self, asked: object, table: Any) -> None:
        if table.num_rows * table.num_columns > KEPT_CELLS:
            return
        if len(self._kept) >= KEPT_TABLES:
            del self._kept[next(iter(self._kept))]
        self._kept[asked] = table

    def _combined(self, sealed: Sequence[PartFile], parts: Sequence[PartFile], asked: Asked) -> Any:
        names, (first, last) = list(asked.columns), asked.blocks
        ranges = [part.events for part in sealed]
        tail = [part for part in parts if not any(whole.covers(part.events) for whole in ranges)]
        self._rolled_up = {part.events: self._roll_up(part) for part in tail}
        rolled = [asked.of(table) for table in self._rolled_up.values()]
        chosen = [(part, np.flatnonzero(part.groups_between("block", first, last))) for part in sealed]
        edges = [part.ranges["block"][groups].clip(first, last) for part, groups in chosen]
        begin, stride = coarseness(edges, rolled, asked.most_blocks)
        tables = [overview_schema().empty_table().select(names), *rolled]
        for part, groups in chosen:
            found = [asked.of(table) for table in self._read(part, groups.tolist(), names)]
            tables += found if stride == 1 else [combine(table, stride, begin) for table in found]
        return combine(pa.concat_tables(tables), stride, begin)

    def _roll_up(self, part: PartFile) -> Any:
        if part.events in self._rolled_up:
            return self._rolled_up[part.events]
        tables = [overview_schema().empty_table()]
        for group in range(len(part.rows)):
            tables += [roll_up(table) for table in self._read(part, [group], NEEDED)]
        return pa.concat_tables(tables)


def coarseness(ranges: Iterable[NDArray[Any]], rolled: Iterable[Any], most: int | None) -> tuple[int, int]:
    """First block, and how many neighbours are added up so that there are at most `most` (None: each alone).

    `ranges` [G, 2] are least and greatest block of row groups, `rolled` further overview rows.
    """
    ends = [int(edge) for edges in ranges for edge in edges.reshape(-1)]
    ends += [int(block) for table in rolled for block in np.unique(table.column("block").to_numpy())]
    if most is None or not ends:
        return 0, 1
    return min(ends), max(1, -(-(max(ends) - min(ends) + 1) // most))
