"""The first picture comes alone: a browser shows nothing of what it was sent before it has made all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import streamlit as st

REST = "rest"  # key of what asks for it: while it stands on the page, there is more to come
_ASKED = "rest.asked"
# A constant script: it sees nothing of a run, and shows nothing.
_ask_when_drawn = st.components.v2.component(
    "first", js=Path(__file__).with_name("first.js").read_text(encoding="utf-8")
)


class RestComesLaterError(BaseException):
    """No error: the page is left where its first picture ends. No section takes it for a failure of its own."""


@contextmanager
def up_to_first_picture() -> Iterator[None]:
    """What is drawn in the body ends behind its first picture, where `rest_comes_later` says so."""
    with suppress(RestComesLaterError):
        yield


def rest_comes_later() -> None:
    """Leave the page if a browser has just been sent its first picture: once drawn, it asks for the whole page.

    Once a session, as what the pictures are drawn with is loaded once. Any other run of the page is whole: one that
    the reader caused, the next look at a live run, and all of them for a reader without a browser.
    """
    if _ASKED in st.session_state or not st.context.headers:
        return
    st.session_state[_ASKED] = True
    _ask_when_drawn(key=REST, on_drawn_change=_draw_all)
    raise RestComesLaterError


def _draw_all() -> None:
    """Streamlit wants something to call: what was asked for is the run of the page that follows."""
