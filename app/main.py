"""The dashboard: `streamlit run app/main.py [-- DIR]`."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_first import up_to_first_picture
from dashboard_shell import configure, pages

view.load()
configure()
with up_to_first_picture():
    st.navigation(pages(), position="top").run()
