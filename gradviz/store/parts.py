"""Parts: immutable Parquet files named by the range of events that they hold."""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from gradviz.schema import FORMAT_VERSION
from gradviz.store import footers
from gradviz.store.columns import RANGES, write_options
from gradviz.store.files import Disk

INDEX_KEY = b"gradviz.index"
CHECKSUM_KEY = b"gradviz.index.crc32"
_FILE_NAME = re.compile(r"part-(\d{1,18})-(\d{1,18})\.parquet", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class EventRange:
    """The range of events of a part, both ends inclusive."""

    first: int
    last: int

    @property
    def file_name(self) -> str:
        """Name of the part that holds this range."""
        return f"part-{self.first:012d}-{self.last:012d}.parquet"

    def covers(self, other: EventRange) -> bool:
        """Whether every event of `other` lies in this range."""
        return self.first <= other.first and other.last <= self.last


def parse_part_name(name: str) -> EventRange | None:
    """Return the range in a part's file name; None for every other file."""
    found = _FILE_NAME.fullmatch(name)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return EventRange(int(found[1]), int(found[2]))


def uncovered(ranges: Iterable[EventRange]) -> list[EventRange]:
    """Ranges that no other range covers, ascending: what a merge has superseded is left out."""
    kept: list[EventRange] = []
    for candidate in sorted(ranges, key=lambda part: (part.first, -part.last)):
        if not kept or candidate.last > kept[-1].last:
            kept.append(candidate)
    return kept


def part_folder(run: Path, kind: str, rank: int = 0) -> Path:
    """Folder of the parts of one kind and rank."""
    return run / kind / f"rank={rank}"


class PartWriter:
    """Writes one part under a temporary name, row group by row group; `commit` gives it its name.

    The temporary name begins with a dot: an outside reader of the live folder does not see it.
    """

    def __init__(self, disk: Disk, folder: Path, kind: str, events: EventRange, schema: Any) -> None:
        self.target = folder / events.file_name
        self._temporary = folder / f".{events.file_name}.tmp"
        self._disk, self._kind, self._schema = disk, kind, schema
        self._index: list[list[int]] = []
        self._stream: BinaryIO | None = None
        self._parquet: Any = None

    def __enter__(self) -> PartWriter:
        self._stream = self._disk.open_new(self._temporary)
        try:
            options = write_options(self._kind, self._schema)
            self._parquet = pq.ParquetWriter(self._stream, self._schema, **options)  # writes the first bytes
        except BaseException:
            self._discard()
            raise
        return self

    def add_row_group(self, table: Any) -> None:
        """Append one row group; an empty one is left out."""
        if table.num_rows:
            self._index.append([table.num_rows, *_ranges(table, RANGES[self._kind])])
            self._parquet.write_table(table, row_group_size=table.num_rows)

    def commit(self, *, durable: bool) -> int:
        """Finish the file, force it to the device, give it its name; returns its size in bytes."""
        assert self._stream is not None  # noqa: S101 - inside the `with`
        content = json.dumps({"version": FORMAT_VERSION, "kind": self._kind, "row_groups": self._index})
        checksum = f"{zlib.crc32(content.encode()):08x}"
        self._parquet.add_key_value_metadata({INDEX_KEY: content, CHECKSUM_KEY: checksum, **footers.BLANK})
        begin = self._stream.tell()
        self._parquet.close()
        size = footers.sign(self._stream, begin)
        if durable:
            self._disk.sync(self._stream)
        self._stream.close()
        self._name(durable)
        return size

    def _name(self, durable: bool) -> None:
        """Give the file its name. With it the part counts, whatever a call says whose answer was lost on its way."""
        try:
            self._disk.replace(self._temporary, self.target)
        except OSError:
            if not self._disk.exists(self.target):
                raise
        if durable:
            with contextlib.suppress(OSError):  # some file systems sync no folder
                self._disk.sync_folder(self.target.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()

    def _discard(self) -> None:
        for open_thing in (self._parquet, self._stream):
            if open_thing is not None:
                with contextlib.suppress(Exception):
                    open_thing.close()
        with contextlib.suppress(OSError):
            self._disk.remove(self._temporary)


def _ranges(table: Any, columns: Sequence[str]) -> Iterator[int]:
    for name in columns:
        values = table.column(name).to_numpy()
        yield int(values.min())
        yield int(values.max())


def as_arrow(values: np.ndarray[Any, Any], exists: np.ndarray[Any, Any] | None) -> Any:
    """An Arrow array of numbers, null where `exists` is false."""
    return pa.array(values, mask=None if exists is None else ~exists)
