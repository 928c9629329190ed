"""Names that a reader looks for, by words or by a regular expression that cannot run away."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]

from gradviz.errors import QueryError


def with_words(names: Sequence[str], wanted: str) -> list[str]:
    """The names in which every word of `wanted` occurs, in any case and order."""
    words = wanted.casefold().split()
    return [name for name in names if all(word in name.casefold() for word in words)]


def like(names: Sequence[str], pattern: str) -> list[str]:
    """The names in which a regular expression occurs somewhere; capitals count unless it begins with `(?i)`.

    Its engine is RE2, whose time grows with the length of a name and never explodes: a pattern may come from a link.
    So there is no looking ahead or behind, and no reference back.

    Raises:
        QueryError: it is not a regular expression of this kind; the message says why.
    """
    try:
        found = pc.match_substring_regex(pa.array(names, pa.string()), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
        raise QueryError(
            f"{pattern!r} is not a regular expression that can be searched for: {reason}."
        ) from error
    return [name for name, is_found in zip(names, found.to_pylist(), strict=True) if is_found]
