"""Small JSON files with a checksum in front: a flipped bit in one is never taken for a name or a number."""

from __future__ import annotations

import zlib
from typing import Any

LARGEST = 2**53  # above it JSON's readers elsewhere no longer agree, and tables overflow soon after

KEY = "crc32"
_LEAD = b'{"crc32":"'
_BY_HAND = b'{"crc32": '  # as others write JSON
_REST = len(_LEAD) + len('01234567",')


def seal(content: bytes) -> bytes:
    """A JSON object that is not empty, with the checksum of what follows it as its first entry."""
    rest = content[1:]
    return _LEAD + f'{zlib.crc32(rest):08x}",'.encode() + rest


def unseal(content: bytes) -> bytes:
    """The JSON object without its checksum; one that has none is as it was. Raises ValueError for a wrong one."""
    lead, rest = content[: len(_LEAD)], content[_REST:]
    wrong = sum(a != b for a, b in zip(lead, _LEAD, strict=False))
    if wrong > 1 or lead == _BY_HAND:
        return content
    if wrong or content[len(_LEAD) : _REST] != f'{zlib.crc32(rest):08x}",'.encode():
        raise ValueError(f"its checksum is wrong (take its entry {KEY!r} out if it was changed by hand)")
    return b"{" + rest


def whole(value: Any) -> int:
    """A whole number out of JSON; ValueError for one that counts nothing."""
    number = int(value)
    if abs(number) >= LARGEST:
        raise ValueError(f"{number} is too large")
    return number
