"""What every page begins with. `main.py` serves it."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_first import up_to_first_picture
from dashboard_shell import configure, pages

view.load()
configure()
page = st.navigation(pages(), position="top")
with up_to_first_picture():
    page.run()
