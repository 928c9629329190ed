"""The dashboard: `streamlit run app/main.py [-- DIR]`."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_shell import configure, pages

view.load()
configure()
st.navigation(pages(), position="top").run()
