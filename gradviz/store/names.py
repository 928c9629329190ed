"""Names that come from strangers: made safe for a folder, for a column and for a table of layers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

NAME_LIMIT = 512
FOLDER_NAME_LIMIT = 120  # bytes; the whole folder name must stay below 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_FOR_FOLDERS = re.compile(r"[^\w.-]+")


def tidy_name(name: str, limit: int = NAME_LIMIT) -> str:
    r"""Return a name that any file can hold: control characters and lone surrogates as `\x..`, capped.

    A capped name ends in a digest of the whole, so that two long names stay two. Applying it twice
    changes nothing.
    """
    tidy = _CONTROL.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), name)
    if len(tidy) <= limit:
        return tidy
    digest = hashlib.sha256(tidy.encode("utf-8")).hexdigest()[:8]
    return f"{tidy[: limit - 9]}~{digest}"


def unique_names(names: Iterable[str]) -> list[str]:
    """Tidy names of layers; a repeated one gets `~2`, `~3`, ..."""
    seen: dict[str, int] = {}
    unique = []
    for name in map(tidy_name, names):
        candidate = name
        while candidate in seen:
            seen[name] += 1
            candidate = f"{name}~{seen[name]}"
        seen[candidate] = 1
        unique.append(candidate)
    return unique


def folder_name(name: str) -> str:
    """Return the part of a run's folder name that is made from the run's name; never a path."""
    safe = _NOT_FOR_FOLDERS.sub("-", name.encode("utf-8", "ignore").decode()[:1000]).strip(".-_")
    capped = safe.encode("utf-8")[:FOLDER_NAME_LIMIT].decode("utf-8", "ignore")
    return capped.strip(".-_") or "run"
