"""The whole address of what the reader looks at, to copy: opened anywhere, it shows the same view."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

import dashboard_view as view
import streamlit as st
from dashboard_words import say

NAMES = {path.stem for path in Path(__file__).with_name("app_pages").glob("*.py")}

_PLACE = "link.place"


def link_menu() -> None:
    """A button that opens the address; `publish` brings it up to date when the page has been drawn."""
    with st.popover(say("link.label"), icon=":material/link:", type="tertiary", key="link"):
        st.caption(say("link.help"))
        st.session_state[_PLACE] = st.empty()
    _show()


def publish(*names: str) -> None:
    """Write the parameters that the page at hand uses into the URL, and show the address that this gives."""
    view.publish(*names)
    _show()


def _show() -> None:
    # st.code has a button that copies, and shows letters as they are
    st.session_state[_PLACE].code(address(), language=None, wrap_lines=True)


def address() -> str:
    """As the browser has it, behind whatever proxy; without the parameters that are not the dashboard's."""
    shown = {name: values for name in view.PARAMETERS if (values := st.query_params.get_all(name))}
    asked = urlencode(shown, doseq=True, quote_via=quote, safe=":")
    page = _page()
    return f"{page}?{asked}" if asked else page


def _page() -> str:
    """The address of the page; that of the first one, which has no name of its own, ends in a slash."""
    page = st.context.url or ""
    is_named = page.rpartition("/")[2] in NAMES
    return page if is_named else f"{page.removesuffix('/')}/"
