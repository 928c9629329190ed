"""HTML, so that no text of a run ever becomes markup: a plain string is escaped wherever it is put."""

from __future__ import annotations

import html
import unicodedata

Child = "Html | str"


class Html:
    """Markup that is finished. Only `element`, `joined` and `verbatim` make it."""

    def __init__(self, markup: str) -> None:
        self._markup = markup

    def __str__(self) -> str:
        return self._markup


def element(tag: str, *children: Html | str, **attributes: str | bool) -> Html:
    """`<tag ...>children</tag>`; `class_` stands for `class`, `data_x` for `data-x`, True for a bare attribute."""
    given = "".join(_attribute(name, value) for name, value in attributes.items() if value is not False)
    if tag in _VOID:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{''.join(map(_inside, children))}</{tag}>")


def joined(*children: Html | str) -> Html:
    """Several pieces after each other."""
    return Html("".join(map(_inside, children)))


def verbatim(markup: str) -> Html:
    """Text of our own files (style, script), put in as it is. Never anything that a run says."""
    return Html(markup)


def escape(text: str) -> str:
    """`text` as letters: markup escaped; controls, direction marks and lone surrogates written out."""
    return html.escape("".join(map(_visible, text)), quote=True)


_VOID = frozenset({"meta", "br", "link"})
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _inside(child: Html | str) -> str:
    return str(child) if isinstance(child, Html) else escape(child)


def _attribute(name: str, value: str | bool) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _visible(letter: str) -> str:
    if letter != "\n" and unicodedata.category(letter) in _UNSEEN:
        return letter.encode("unicode_escape").decode("ascii")
    return letter
