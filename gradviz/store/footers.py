"""The checksum of a part's footer: Parquet has one of each page, but none of what says where the pages are.

Without it a flipped bit may rename a column, and a column that is not there is one of older parts: all null.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

KEY = b"gradviz.footer.crc32"
_ZEROS = b"00000000"
BLANK = {KEY: _ZEROS}
"""The entry of the key-value metadata in which `sign` writes the checksum."""

_ENTRY = KEY + b"\x18\x08"  # in Thrift's compact protocol a text of eight bytes follows
_END = 8  # the length of the footer, and PAR1


def sign(stream: BinaryIO, begin: int) -> int:
    """Write the checksum into a footer that was written with `BLANK`; returns the size of the file.

    Nothing but the footer lies between `begin` and the end.
    """
    stream.seek(begin)
    tail = stream.read()
    footer = tail[-_length(tail) - _END : -_END]
    place = footer.rindex(_ENTRY) + len(_ENTRY)
    stream.seek(begin + len(tail) - _END - len(footer) + place)
    stream.write(_checksum(footer))
    return stream.seek(0, os.SEEK_END)


def check(path: Path) -> bytes | None:
    """The checksum that a footer has, None where it has none.

    Raises ValueError where it is wrong, OSError for a file that cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _END))
        length = _length(stream.read())
        if length > size - _END:
            return None  # not a Parquet file, says who reads it next
        stream.seek(size - _END - length)
        footer = stream.read(length)
    place = footer.rfind(_ENTRY)
    if place < 0:  # of an older part
        return None
    stated = footer[place + len(_ENTRY) :][: len(_ZEROS)]
    if stated != _checksum(footer.replace(_ENTRY + stated, _ENTRY + _ZEROS)):
        raise ValueError("the checksum of its footer is wrong")
    return stated


def _length(tail: bytes) -> int:
    return int.from_bytes(tail[-_END:-4], "little")


def _checksum(footer: bytes) -> bytes:
    return f"{zlib.crc32(footer):08x}".encode()
