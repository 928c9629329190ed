"""What surrounds every page: browser tab, menu, the list of pages, the language switch."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from dashboard_words import say, say_plain

PAGES = {
    "runs": ":material/list:",
    "accumulation": ":material/stacked_line_chart:",
    "gradient_flow": ":material/bar_chart:",
    "heat_map": ":material/grid_on:",
    "diagnosis": ":material/stethoscope:",
    "compare": ":material/compare_arrows:",
    "learn": ":material/school:",
}


def configure() -> None:
    """Wide page; the menu holds the theme choice and one sentence about gradviz."""
    st.set_page_config(
        page_title=say_plain("name"),
        page_icon=str(Path(__file__).with_name("icon.png")),  # a material icon would be fetched from the web
        layout="wide",
        initial_sidebar_state="collapsed",
        menu_items={"About": say("about")},
    )


def pages() -> list[st.Page]:
    """One file in app_pages a page; the first one is the landing page."""
    return [
        st.Page(
            f"app_pages/{name}.py",
            title=say_plain(f"{name}.title"),
            icon=icon,
            url_path=name,
            default=name == "runs",
        )
        for name, icon in PAGES.items()
    ]
