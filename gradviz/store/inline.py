"""Small HTML tables for a notebook: no script, no style sheet, and names from a run as literal text."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_CELL = "text-align:left;padding:2px 14px 2px 0"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, direction marks, lone surrogates, line breaks


def facts_html(head: str, facts: Mapping[str, object]) -> str:
    """A head, and a line for each fact that is known."""
    rows = "".join(
        f'<tr><th style="{_CELL}">{_literal(name)}</th><td style="{_CELL}">{_literal(value)}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return f"<div><b>{_literal(head)}</b><table>{rows}</table></div>"


def rows_html(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with one row each."""
    head = "".join(f'<th style="{_CELL}">{_literal(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_literal(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _literal(cell: object) -> str:
    words = "" if cell is None else str(cell)
    shown = "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNSEEN else letter
        for letter in words
    )
    return html.escape(shown)
