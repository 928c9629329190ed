"""The frame around what can be chosen on a page; where it stands in a narrow window, `style.css` says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def controls() -> Iterator[None]:
    """A frame above what is drawn next; where the window is narrow, below it: the picture comes first."""
    with st.container(border=True, key="controls"):
        yield
