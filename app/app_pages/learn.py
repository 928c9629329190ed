"""Learn: what is gradient accumulation, and what does each mistake in it look like?"""

from __future__ import annotations

import dashboard_learn as parts
import dashboard_view as view
import streamlit as st
from dashboard_sections import page_head, section

with page_head("learn"):
    st.space(size="stretch")
chapter = parts.tour()
said, shown = st.columns([4, 7], gap="large")
with said:
    with section("learn.chapter", heading=False):
        parts.chapter_part(chapter)
    with st.container(border=True):
        loop = parts.ask()
    with section("learn.code", heading=False):
        parts.code_part(loop)
with shown:
    with section("learn.now", heading=False):
        parts.lessons_part(loop)
    with section("learn.sawtooth", heading=False):
        parts.sawtooth_part(loop)
left, right = st.columns(2, gap="large")
with left, section("learn.path", heading=False):
    parts.path_part(loop)
with right, section("learn.loss", heading=False):
    parts.loss_part(loop)
with left, section("learn.build_up", heading=False):
    parts.build_up_part(loop)
view.publish(*parts.PARAMETERS)
