"""Reading parts: footers checked and cached, row groups read by their number."""

from __future__ import annotations

import contextlib
import errno
import json
import stat
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError, RefusedPartError
from gradviz.schema import FORMAT_VERSION, PHASES
from gradviz.store import footers
from gradviz.store.columns import OPTIONAL, RANGES, SCHEMAS
from gradviz.store.files import Disk
from gradviz.store.parts import CHECKSUM_KEY, INDEX_KEY, EventRange, parse_part_name

ROW_GROUP_LIMIT = 2**24  # rows; the largest that the writer makes holds 2^17 rows or one layer
PART_LIMIT = 2**28
COLUMN_LIMIT = 1_000
REFUSALS = {errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}
FOOTER_CHUNKS = 2**17  # columns of row groups whose footers are kept: some 110 MB, over all runs


class _Footers:
    """Decoded footers of the parts that were opened last: without one a part is read as well, a little slower."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Any] = OrderedDict()
        self._checksums: dict[Path, bytes | None] = {}
        self._chunks = 0
        self._lock = Lock()

    def get(self, path: Path) -> Any:
        """The footer of a part, None where it is not kept."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
            return self._kept.get(path)

    def of(self, path: Path, checksum: bytes | None) -> Any:
        """The footer of a part if it is kept and has that checksum: whoever opens the run next need not decode it."""
        footer = self.get(path)
        return None if checksum is None or self._checksums.get(path) != checksum else footer

    def keep(self, path: Path, footer: Any, checksum: bytes | None) -> None:
        """Keep a footer; the ones that were not used for the longest time make room."""
        with self._lock:
            before = self._kept.pop(path, None)
            self._kept[path], self._checksums[path] = footer, checksum
            self._chunks += _chunks(footer) - _chunks(before)
            while self._chunks > FOOTER_CHUNKS:
                oldest, dropped = self._kept.popitem(last=False)
                self._checksums.pop(oldest)
                self._chunks -= _chunks(dropped)


def _chunks(footer: Any) -> int:
    return 0 if footer is None else footer.num_row_groups * footer.num_columns


_footers = _Footers()


@dataclass(frozen=True, slots=True)
class PartFile:
    """A part whose footer has been read and checked.

    `rows` [G]; `ranges[column]` [G, 2]: least and greatest value in each row group.
    """

    path: Path
    kind: str
    events: EventRange
    columns: tuple[str, ...]
    rows: NDArray[np.int64]
    ranges: dict[str, NDArray[np.int64]]
    disk: Disk = field(default_factory=Disk, repr=False)

    def groups_with(self, column: str, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which row groups may hold one of the `wanted` (ascending) values of a ranged column."""
        ranges = self.ranges[column]
        return np.searchsorted(wanted, ranges[:, 0]) < np.searchsorted(wanted, ranges[:, 1], side="right")

    def groups_between(self, column: str, first: int, last: int) -> NDArray[np.bool_]:
        """Which row groups may hold a value of a ranged column within [first, last]."""
        ranges = self.ranges[column]
        return (ranges[:, 0] <= last) & (ranges[:, 1] >= first)

    def open(self) -> Any:
        """Open the file, for `read`; raises DamagedPartError or FileNotFoundError."""
        footer = _footers.get(self.path)
        with _damage_named(self.path):
            return self.disk.reading(
                self.path, lambda: pq.ParquetFile(self.path, metadata=footer, page_checksum_verification=True)
            )

    def read(self, groups: Sequence[int], columns: Sequence[str], *,
             threads: bool = True, opened: Any = None) -> Any:  # fmt: skip
        """Read row groups as a table, from the file as it was `opened` or anew; raises as `open` does."""
        stored = [name for name in columns if name in self.columns]
        numbers = [int(group) for group in groups]
        part = contextlib.nullcontext(opened) if opened is not None else self.open()
        with part as parquet, _damage_named(self.path):
            table = self.disk.reading(
                self.path, lambda: parquet.read_row_groups(numbers, columns=stored, use_threads=threads)
            )
        if table.num_rows != int(self.rows[list(groups)].sum()):
            raise DamagedPartError(f"{self.path.name}: {table.num_rows} rows, not what its index states")
        return _completed(table, self.kind, columns)


def _completed(table: Any, kind: str, columns: Sequence[str]) -> Any:
    """The table with null columns for those that parts of its time did not have."""
    for name in set(columns).difference(table.column_names).intersection(OPTIONAL):
        field = SCHEMAS[kind]().field(name)
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(list(columns)) if table.column_names != list(columns) else table


def check_rows(table: Any, part: PartFile) -> None:
    """Raise DamagedPartError where rows of a part have nulls or phases that no writer writes."""
    for column in SCHEMAS[part.kind]():
        here = not column.nullable and column.name in table.column_names
        if here and table.column(column.name).null_count:
            raise DamagedPartError(f"{part.path.name}: nulls in {column.name!r}")
    if "phase" in table.column_names and table.num_rows:
        phases = table.column("phase").to_numpy()
        if phases.min() < 0 or phases.max() >= len(PHASES):
            raise DamagedPartError(f"{part.path.name}: a phase that does not exist")


def first_line(error: BaseException) -> str:
    """First line of an error's text, capped."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """What a library says of a part, as an error with its name; a merge may have removed it meanwhile."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        kind = RefusedPartError if error.errno in REFUSALS else DamagedPartError
        raise kind(f"{path.name}: {first_line(error)}") from error
    except (pa.ArrowException, ValueError) as error:
        raise DamagedPartError(f"{path.name}: {first_line(error)}") from error


def open_part(path: Path, kind: str, disk: Disk | None = None) -> PartFile:
    """Read and check the footer of a part.

    Raises:
        DamagedPartError: truncated, garbage, foreign, or larger than this reader decodes.
        RefusedPartError: the file system refuses to read it now.
        FileNotFoundError: a merge has removed it meanwhile.
    """
    disk = disk or Disk()
    with _damage_named(path):
        metadata, schema, checksum = disk.reading(path, lambda: _footer_of(path))
    index = _checked_index(metadata, path, kind)
    _check_schema(schema, path, kind)
    rows = index[:, 0]
    _check_size(metadata, rows, path)
    ranges = {name: index[:, 1 + 2 * at : 3 + 2 * at] for at, name in enumerate(RANGES[kind])}
    _footers.keep(path, metadata, checksum)
    events = parse_part_name(path.name) or EventRange(0, 0)
    return PartFile(path, kind, events, tuple(schema.names), rows, ranges, disk)


def _footer_of(path: Path) -> tuple[Any, Any, bytes | None]:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a file")
    checksum = footers.check(path)
    known = _footers.of(path, checksum)
    if known is not None:
        return known, known.schema.to_arrow_schema(), checksum
    with pq.ParquetFile(path) as parquet:
        return parquet.metadata, parquet.schema_arrow, checksum


def _checked_index(metadata: Any, path: Path, kind: str) -> NDArray[np.int64]:
    entries = metadata.metadata or {}
    content, checksum = entries.get(INDEX_KEY), entries.get(CHECKSUM_KEY)
    if content is None or checksum is None:
        raise DamagedPartError(f"{path.name}: not a gradviz part, it has no {INDEX_KEY.decode()}")
    if f"{zlib.crc32(content):08x}".encode() != checksum:
        raise DamagedPartError(f"{path.name}: the checksum of its index is wrong")
    try:
        stated = json.loads(content)
        index = np.array(stated["row_groups"], dtype=np.int64).reshape(-1, 1 + 2 * len(RANGES[kind]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DamagedPartError(f"{path.name}: its index cannot be understood") from error
    version = stated.get("version", 0)
    if not isinstance(version, int) or version > FORMAT_VERSION or stated.get("kind") != kind:
        raise DamagedPartError(f"{path.name}: holds {stated.get('kind')!r} of version {version!r}")
    return index


def _check_schema(schema: Any, path: Path, kind: str) -> None:
    if len(schema.names) > COLUMN_LIMIT:
        raise DamagedPartError(f"{path.name}: {len(schema.names):,} columns, more than {COLUMN_LIMIT:,}")
    for column in SCHEMAS[kind]():
        if column.name == "layer":  # for outside readers; never decoded here
            continue
        at = schema.get_all_field_indices(column.name)
        if not at and column.name in OPTIONAL:
            continue
        if len(at) != 1 or schema.field(at[0]).type != column.type:
            raise DamagedPartError(f"{path.name}: column {column.name!r} is not one column of {column.type}")


def _check_size(metadata: Any, rows: NDArray[np.int64], path: Path) -> None:
    found = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if found != rows.tolist():
        raise DamagedPartError(
            f"{path.name}: row groups of {found[:3]} rows, its index states {rows.tolist()[:3]}"
        )
    if rows.size and (rows.max() > ROW_GROUP_LIMIT or rows.sum() > PART_LIMIT or rows.min() < 0):
        raise DamagedPartError(f"{path.name}: {rows.sum():,} rows would be decoded, more than {PART_LIMIT:,} "
                               f"in a part or {ROW_GROUP_LIMIT:,} in a row group")  # fmt: skip
