"""The dashboard: `streamlit run app/main.py [-- DIR]`."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_shell import choose_language, configure, pages

view.load()
configure()
page = st.navigation(pages(), position="top")
choose_language()
page.run()
