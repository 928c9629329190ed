"""The dashboard: `streamlit run app/main.py [-- DIR]`."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_first import start_early, up_to_first_picture
from dashboard_shell import configure, pages

view.load()
configure()
page = st.navigation(pages(), position="top")
if page.url_path:  # the landing page has no name of its own, and no picture
    start_early()
with up_to_first_picture():
    page.run()
