"""Hostile names are shown letter by letter, never obeyed."""

from __future__ import annotations

import html

import pytest

from gradviz.figures import escape_plotly
from gradviz.figures.names import short_name

HOSTILE = [
    "<script>alert(1)</script>",
    "<a href='http://x'>y</a>",
    "a &amp; b",
    "%{x}",
    "$\\frac{1}{2}$",
    "<b>w</b>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_markup_survives_and_the_browser_shows_the_name(name: str) -> None:
    escaped = escape_plotly(name)
    assert not {"<", ">", "$", "%"} & set(escaped)
    assert html.unescape(escaped) == name


def test_letters_that_turn_the_text_are_written_out() -> None:
    assert escape_plotly("a\u202eb\nc\u2067") == "a\\u202eb\\u000ac\\u2067"


@pytest.mark.parametrize("name", ["layer.0.weight", "שכבה.משקל", "层.权重", "👩‍🚀.weight", "![](http://x)"])
def test_honest_names_stay(name: str) -> None:
    assert escape_plotly(name) == name


def test_a_long_name_keeps_its_end() -> None:
    name = "transformer.encoder.layers.11.attention.output.dense.weight"
    short = short_name(name, 24)
    assert len(short) == 24
    assert short.startswith("…")
    assert name.endswith(short[1:])
    assert short_name("<b>" * 20, 7) == "…" + 2 * "&lt;b&gt;"
