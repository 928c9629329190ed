"""What every command prints with: hostile names made visible, tables, JSON, one sentence for an error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 10_000

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def shown(name: object) -> str:
    """`name` as it may reach a terminal: escape codes and other invisible characters spelled out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in str(name)
    )


def say(sentence: str, *, style: str = "") -> None:
    """Print a sentence as it is: never wrapped (a path stays one word to click on), never read as markup."""
    out.print(Text(sentence, style=style), soft_wrap=True)


def complain(sentence: str) -> None:
    """Print one sentence to the error stream."""
    err.print(Text(f"gradviz: {sentence}", style="red"), soft_wrap=True)


def print_json(value: object) -> None:
    """Print `value` as strict JSON: a number that is not finite becomes null, a path or a time a string."""
    out.out(json.dumps(_jsonable(value), ensure_ascii=True, allow_nan=False, indent=2))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """Print `rows` under `headings`; columns named in `right` hold numbers, the first is never folded."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        justify: JustifyMethod = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading == headings[0])
    for row in rows:
        table.add_row(*(Text(shown("" if cell is None else cell)) for cell in row))
    _print_wide(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print named facts, one a line; a fact of None is left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        if fact is not None:
            table.add_row(name, Text(shown(fact)))
    _print_wide(table)


def _print_wide(table: Table) -> None:
    """Lines are folded for a person only: a pipe gets each row whole."""
    wide = out if out.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
    wide.print(table)


def ago(seconds: float | None) -> str:
    """A length of time as a person says it: `3 s`, `5 min`, `2 h`, `4 d`."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
