"""Words on the screen: the reader's language, texts from the catalogue, names made safe.

Everything that a run folder names (layers, runs, classes) may come from a stranger. Streamlit reads
markdown in labels, captions and badges, and would fetch the image of a layer called `![](http://...)`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Literal, get_args

import dashboard_view as view
import streamlit as st

from gradviz.errors import GradvizError
from gradviz.texts import LANGUAGES, catalogue, text

Language = Literal["en", "zh"]
NAME_LENGTH = 240  # of a name or path in running text; tables and menus show it whole

# Addresses become links even when escaped, unless an invisible word joiner stands in them.
_LINKS = re.compile(r"(?<=http)(?=s?:)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
_PUNCTUATION = str.maketrans({mark: "\\" + mark for mark in string.punctuation})


def language() -> Language:
    """The language asked for in the URL, else the browser's, else English."""
    chosen = view.value("lang") or (st.context.locale or "").partition("-")[0]
    return next((known for known in get_args(Language) if known == chosen and known in LANGUAGES), "en")


def say(key: str, **values: object) -> str:
    """The text `app.<key>` as markdown; strings among `values` are names and are made safe."""
    safe = {name: escape(value) if isinstance(value, str) else value for name, value in values.items()}
    return text(f"app.{key}", language=language(), **safe)


def say_plain(key: str, **values: object) -> str:
    """The text `app.<key>` for a place that shows its letters as they are (table cells, menus, code)."""
    return text(f"app.{key}", language=language(), **values)


def reason_of(error: GradvizError) -> str:
    """Why something was refused: what kind of error it is in the reader's language, and its message as it is."""
    kind = type(error).__name__
    kind = kind if f"app.error.kind.{kind}" in catalogue("en") else "other"
    return say_plain(f"error.kind.{kind}", message=str(error))


def printable(name: str) -> str:
    """`name` as one line that every browser shows: controls and lone surrogates become visible escapes."""
    return name if name.isprintable() else "".join(_visible(letter) for letter in name)


def escape(name: str) -> str:
    """`name` as literal text inside Streamlit markdown: every ASCII punctuation mark gets a backslash."""
    shown = printable(name)
    if len(shown) > NAME_LENGTH:
        half = NAME_LENGTH // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return literal(shown)


def literal(sentence: str) -> str:
    """A whole sentence, with names from a run in it, as literal text inside Streamlit markdown."""
    return _LINKS.sub("\u2060", printable(sentence)).translate(_PUNCTUATION)


def _visible(letter: str) -> str:
    # Cc control, Cf direction marks, Cs lone surrogate (not even UTF-8), Zl and Zp line breaks
    if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return letter.encode("unicode_escape").decode("ascii")
    return letter
