"""The sentences of figures and app in every language: one folder of TOML catalogues a language.

Room rule: standard library only. Keys are dotted (`figure.sawtooth.title`), sentences are `str.format`
templates.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES: tuple[str, ...] = ("en", "zh")

__all__ = ["LANGUAGES", "catalogue", "joined", "text"]


def text(key: str, language: str = "en", **values: object) -> str:
    """The sentence behind `key` in `language`, with `values` filled in. A missing key raises `KeyError`."""
    sentence = catalogue(language)[key]
    return sentence.format(**values) if values else sentence


def joined(sentences: Iterable[str], language: str = "en") -> str:
    """Sentences of `language` one after the other: Chinese has no space after a full stop."""
    return ("" if language == "zh" else " ").join(sentences)


@cache
def catalogue(language: str) -> dict[str, str]:
    """All sentences of one language by dotted key; the catalogues of its folder merged."""
    if language not in LANGUAGES:
        raise KeyError(f"No catalogue for language {language!r}. There are: {', '.join(LANGUAGES)}.")
    merged: dict[str, str] = {}
    for entry in sorted((files(__name__) / language).iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".toml"):
            continue
        for key, sentence in _flatten(tomllib.loads(entry.read_text(encoding="utf-8"))).items():
            if key in merged:
                raise KeyError(
                    f"Key {key!r} stands in two catalogues of {language!r}, one of them {entry.name}."
                )
            merged[key] = sentence
    return merged


def _flatten(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, entry in table.items():
        if isinstance(entry, dict):
            flat |= _flatten(entry, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(entry)
    return flat
