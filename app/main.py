"""The dashboard: `streamlit run app/main.py [-- DIR]`. What it shows begins in `dashboard.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from dashboard_front import Front, opened_in_browser
from starlette.middleware import Middleware

app = st.App(
    Path(__file__).with_name("dashboard.py"), middleware=[Middleware(Front)], lifespan=opened_in_browser
)
