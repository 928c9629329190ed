"""The overview of a whole run: that of its segments, and its unsealed tail rolled up now; kept for the next query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

from gradviz.store.columns import overview_schema
from gradviz.store.overview import NEEDED, combine, roll_up
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import PartSet
from gradviz.store.parts import EventRange

KEPT_CELLS = 2**22  # of a combined overview (some 30 MB) up to which it is kept for the next query
KEPT_TABLES = 4

Read = Callable[[PartFile, Sequence[int], Sequence[str]], list[Any]]


class Overviews:
    """Overviews of one rank; the last ones are kept as long as the parts and the damage are the same."""

    def __init__(self, sealed: PartSet, gradients: PartSet, read: Read) -> None:
        self._sealed, self._gradients, self._read = sealed, gradients, read
        self._rolled_up: dict[EventRange, Any] = {}
        self._kept: dict[object, Any] = {}
        self._state: object = None

    def table(self, columns: Sequence[str] | None, most_blocks: int | None) -> Any:
        """Rows of the whole run.

        `columns` are those wanted, as they are in the files; neighbouring blocks are added up where there are more
        than `most_blocks`.
        """
        sealed, parts = self._sealed.current(), self._gradients.current()
        state = ([part.path for part in [*sealed, *parts]], len(self._sealed.found_damaged))
        if self._state != state:
            self._state, self._kept = state, {}
        asked = (tuple(columns or overview_schema().names), most_blocks)
        table = self._kept.get(asked)
        if table is None:
            table = self._combined(sealed, parts, *asked)
            self._keep(asked, table)
        return table

    def _keep(self, asked: object, table: Any) -> None:
        if table.num_rows * table.num_columns > KEPT_CELLS:
            return
        if len(self._kept) >= KEPT_TABLES:
            del self._kept[next(iter(self._kept))]
        self._kept[asked] = table

    def _combined(
        self, sealed: Sequence[PartFile], parts: Sequence[PartFile], names: Sequence[str], most: int | None
    ) -> Any:
        ranges = [part.events for part in sealed]
        tail = [part for part in parts if not any(whole.covers(part.events) for whole in ranges)]
        self._rolled_up = {part.events: self._roll_up(part) for part in tail}
        first, stride = coarseness([part.ranges["block"] for part in sealed], self._rolled_up.values(), most)
        rolled = [table.select(names) for table in self._rolled_up.values()]
        tables = [overview_schema().empty_table().select(names), *rolled]
        for part in sealed:
            found = self._read(part, range(len(part.rows)), names)
            tables += found if stride == 1 else [combine(table, stride, first) for table in found]
        return combine(pa.concat_tables(tables), stride, first)

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
    ends = [edge for edges in ranges for edge in edges.reshape(-1).tolist()]
    ends += [int(block) for table in rolled for block in table.column("block").to_numpy()]
    if most is None or not ends:
        return 0, 1
    return min(ends), max(1, -(-(max(ends) - min(ends) + 1) // most))
