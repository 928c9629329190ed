"""Row groups read one batch ahead of whoever works on them: decoding and that work overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gradviz.errors import DamagedPartError
from gradviz.store.part_files import PartFile

Batch = tuple[PartFile, list[int]]
Found = list[tuple[list[int], Any]]


class _Reader:
    """Reads batches in their order. A part stays open until its last: a merge may remove the file meanwhile."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._part: PartFile | None = None
        self._parquet: Any = None

    def read(self, part: PartFile, groups: list[int]) -> Found:
        """The batch as one table, or where some of it is damaged: a table or an error for each row group."""
        try:
            return [(groups, self._table(part, groups))]
        except DamagedPartError as error:
            if len(groups) == 1:
                return [(groups, error)]
        return [found for group in groups for found in self.read(part, [group])]

    def _table(self, part: PartFile, groups: list[int]) -> Any:
        if part is not self._part:
            self.close()
            self._parquet, self._part = part.open(), part
        return part.read(groups, self._columns, opened=self._parquet)

    def close(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
        self._parquet = self._part = None


def read_ahead(batches: Iterable[Batch], columns: Sequence[str]) -> Iterator[tuple[PartFile, Found]]:
    """Each batch with the tables, or the errors, of its row groups.

    Raises FileNotFoundError only at the first batch of a part.
    """
    reader = _Reader(columns)
    with ThreadPoolExecutor(1, thread_name_prefix="gradviz-read") as worker:
        try:
            before: tuple[PartFile, Future[Found]] | None = None
            for part, groups in batches:
                coming = (part, worker.submit(reader.read, part, groups))
                if before is not None:
                    yield before[0], before[1].result()
                before = coming
            if before is not None:
                yield before[0], before[1].result()
        finally:
            worker.submit(reader.close).result()
