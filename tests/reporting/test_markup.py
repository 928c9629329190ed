"""A plain string never becomes markup, wherever it is put."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from gradviz.reporting.markup import element, escape, joined, verbatim


class Reader(HTMLParser):
    """What a browser would make of it: tags with their attributes, and the text between."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


PRINTED = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))


@given(PRINTED, PRINTED)
def test_text_and_attributes_come_back_letter_by_letter(inside: str, title: str) -> None:
    read = Reader(str(element("p", inside, title=title)))
    assert read.tags == [("p", {"title": title})]
    assert read.text == inside


@given(st.text())
def test_any_text_stays_inside_its_element(inside: str) -> None:
    assert [tag for tag, _ in Reader(str(element("div", element("b", inside)))).tags] == ["div", "b"]


def test_names_of_attributes() -> None:
    html = element("a", class_="x", data_figure="f-1", aria_label="y", hidden=True, disabled=False)
    assert str(html) == '<a class="x" data-figure="f-1" aria-label="y" hidden></a>'


def test_elements_without_an_end() -> None:
    assert str(joined(element("meta", charset="utf-8"), "<", verbatim("<!-- ours -->"))) == (
        '<meta charset="utf-8">&lt;<!-- ours -->'
    )


def test_controls_and_direction_marks_are_written_out() -> None:
    assert escape("a\x00b\u202ec\ud800d\ne") == "a\\x00b\\u202ec\\ud800d\ne"
