"""Hostile names are shown letter by letter, never obeyed."""

from __future__ import annotations

import html

import pytest

from gradviz.figures import escape_plotly
from gradviz.figures.names import axis_name, short_name

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


@pytest.mark.parametrize(
    ("name", "letters", "expected"),
    [
        ("blocks.layers.0.self_attn.in_proj_weight", 27, "…0.self_attn.in_proj_weight"),
        ("blocks.layers.0.self_attn.in_proj_weight", 26, "…self_attn.in_proj_weight"),
        ("blocks.layers.0.self_attn.in_proj_weight", 25, "…self_attn.in_proj_weight"),
        ("blocks.layers.0.self_attn.in_proj_weight", 24, "…in_proj_weight"),
        ("blocks.layers.0.linear1.weight", 29, "…layers.0.linear1.weight"),
        ("blocks.layers.0.linear1.weight", 30, "blocks.layers.0.linear1.weight"),
        ("a_name_without_any_parts", 9, "…ny_parts"),
        ("model.a_part_that_is_very_long.bias", 20, "…t_is_very_long.bias"),  # "bias" alone says too little
        ("trailing.dots....", 8, "…..."),
        ("<b>" * 20, 7, "…" + 2 * "&lt;b&gt;"),
    ],
)
def test_a_long_name_keeps_its_end_and_begins_with_a_whole_part(
    name: str, letters: int, expected: str
) -> None:
    assert short_name(name, letters) == expected


@pytest.mark.parametrize(
    ("name", "letters", "expected"),
    [
        ("blocks.layers.0.linear1.weight", 30, "blocks.layers.0.linear1.weight"),
        ("blocks.layers.0.linear1.weight", 29, "b.layers.0.linear1.weight"),
        ("blocks.layers.0.linear1.weight", 20, "b.l.0.linear1.weight"),
        ("blocks.layers.10.linear1.weight", 20, "b.l.10.l1.weight"),
        ("blocks.layers.0.self_attn.in_proj_weight", 20, "…0.s.in_proj_weight"),
        ("a_name_without_any_parts", 9, "…ny_parts"),
        ("<script>1</script>.weight", 10, "&lt;.weight"),
    ],
)
def test_at_an_axis_the_numbers_that_tell_layers_apart_stay(name: str, letters: int, expected: str) -> None:
    assert axis_name(name, letters) == expected
