"""Names are made safe, the language is found, texts are complete."""

from __future__ import annotations

import re
import string

import pytest
from dashboard_sparkline import svg
from dashboard_words import NAME_LENGTH, escape, printable
from hypothesis import given
from hypothesis import strategies as st

from tests.app.opening import Open, spoken

WORD_JOINER = "\u2060"


def unescape(markdown: str) -> str:
    """What a reader sees of a backslash-escaped text: the slow, obvious inverse."""
    seen, letters = [], iter(markdown.replace(WORD_JOINER, ""))
    for letter in letters:
        seen.append(next(letters) if letter == "\\" else letter)
    return "".join(seen)


@given(st.text(max_size=NAME_LENGTH // 8))
def test_escaping_shows_the_name_as_it_is(name: str) -> None:
    assert unescape(escape(name)) == printable(name).replace(WORD_JOINER, "")


@given(st.text(alphabet=string.punctuation, max_size=50))
def test_every_punctuation_mark_gets_a_backslash(name: str) -> None:
    assert escape(name).replace(WORD_JOINER, "") == "".join(f"\\{mark}" for mark in name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\ud800", "\\ud800"),
        ("a\x00b", "a\\x00b"),
        ("a\nb", "a\\nb"),
        ("\u202eabc", "\\u202eabc"),
        ("a\u2028b", "a\\u2028b"),
        ("层.权重 😀", "层.权重 😀"),
        ("", ""),
    ],
)
def test_what_no_browser_shows_becomes_visible(name: str, shown: str) -> None:
    assert printable(name) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize("name", ["http://a.invalid", "HTTPS://a.invalid", "www.a.invalid", "me@a.invalid"])
def test_addresses_do_not_become_links(name: str) -> None:
    assert WORD_JOINER in escape(name)


def test_a_long_name_keeps_both_ends() -> None:
    shown = escape("a" * 5000 + "z")
    assert len(shown) == NAME_LENGTH + 1
    assert (shown[0], shown[-1]) == ("a", "z")


def _image(values: list[float | None], micro_steps: list[int]) -> str:
    import base64

    head, _, body = svg(values, micro_steps).partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(body).decode()


def test_a_sparkline_is_blue_when_every_window_starts_from_zero() -> None:
    image = _image([None, 1.0, 2.0, 0.0, 1.5, 3.0], [0, 1, 2, 0, 1, 2])
    assert "<circle" not in image
    assert image.count("M") == 2  # the ground, and one unbroken line


def test_a_sparkline_is_red_where_a_window_was_not_reset() -> None:
    image = _image([0.0, 1.0, 1.0, 2.0], [0, 1, 0, 1])
    assert image.count("<circle") == 1


def test_a_missing_value_breaks_the_line_of_a_sparkline() -> None:
    image = _image([0.0, 1.0, None, 2.0, 3.0], [0, 1, 2, 3, 4])
    assert image.count("M") == 3


def test_what_is_not_finite_is_a_red_tick_in_a_sparkline() -> None:
    image = _image([0.0, 1.0, float("nan"), float("inf"), 3.0], [0, 1, 2, 3, 4])
    assert image.count("v7") == 2


@pytest.mark.parametrize("values", [[], [0.0], [None], [0.0, 0.0, 0.0]])
def test_a_sparkline_of_nothing_is_no_error(values: list[float | None]) -> None:
    svg(values, list(range(len(values))))


@pytest.mark.parametrize("run", ["never-resets", "diverges-to-nan", "mixed-precision-clipped"])
@pytest.mark.parametrize("page", ["accumulation", "gradient_flow", "heat_map", "diagnosis"])
def test_chinese_has_no_spaces_between_its_letters_and_sentences(
    open_page: Open, page: str, run: str
) -> None:
    words = spoken(open_page(page, run=f"samples:{run}", lang="zh"))
    assert re.findall(r".*(?:[\u4e00-\u9fff] [\u4e00-\u9fff]|[。，；：] ).*", words) == []
