"""Looking for names: what is found, what is refused, and what would hang Python's own engine."""

from __future__ import annotations

import re

import pytest

from gradviz.errors import QueryError
from gradviz.store.matching import like, with_words

NAMES = ["blocks.0.attn.weight", "blocks.0.attn.bias", "blocks.10.mlp.weight", "层.Weight", "a" * 511 + "!"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("", NAMES),
        ("ATTN", NAMES[:2]),
        ("weight blocks", [NAMES[0], NAMES[2]]),
        ("weight attn mlp", []),
        ("层", [NAMES[3]]),
        ("[", []),
    ],
)
def test_every_word_occurs(wanted: str, expected: list[str]) -> None:
    assert with_words(NAMES, wanted) == expected


@pytest.mark.parametrize(
    "pattern", ["", r"\.weight$", "(?i)weight", r"blocks\.\d+\.(attn|mlp)", "^层", "x{3}"]
)
def test_the_same_as_pythons_own_engine(pattern: str) -> None:
    assert like(NAMES, pattern) == [name for name in NAMES if re.search(pattern, name)]


@pytest.mark.parametrize("pattern", ["[", "(", "*", "(?=a)", r"\1", "(a{1000}){1000}", "\ud800", "a\nb["])
def test_what_is_no_pattern_is_refused_in_one_line(pattern: str) -> None:
    with pytest.raises(QueryError, match="not a regular expression") as refused:
        like(NAMES, pattern)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(((a*)*)*)*b"])
def test_a_pattern_that_explodes_elsewhere_ends_here(pattern: str) -> None:
    assert NAMES[4] not in like(NAMES * 400, pattern)


def test_no_names() -> None:
    assert like([], "a") == []
