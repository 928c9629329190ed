"""The frame around what can be chosen on a page, and where it stands in a narrow window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

_make_room = st.components.v2.component(
    "narrow", css=Path(__file__).with_name("narrow.css").read_text(encoding="utf-8"), isolate_styles=False
)


@contextmanager
def controls() -> Iterator[None]:
    """A frame above what is drawn next; where the window is narrow, below it: the picture comes first."""
    with st.container(border=True, key="controls"):
        yield
        _make_room(key="narrow")
