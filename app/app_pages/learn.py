"""Learn: what is gradient accumulation, and what does each mistake in it look like?"""

from __future__ import annotations

import dashboard_learn as parts
import streamlit as st
from dashboard_link import publish
from dashboard_sections import page_head, section

with page_head("learn"):
    st.space(size="stretch")
chapter = parts.tour()
said, coded = st.columns([5, 6], gap="large")
asked, shown = st.columns([3, 8], gap="large")
with said, section("learn.chapter", heading=False):
    parts.chapter_part(chapter)
with asked, st.container(border=True):
    loop = parts.ask()
with coded, section("learn.code", heading=False):
    parts.code_part(loop)
with shown:
    with section("learn.now", heading=False):
        parts.lessons_part(loop)
    with section("learn.sawtooth", heading=False):
        parts.sawtooth_part(loop)
for pair in ((parts.path_part, parts.loss_part), (parts.build_up_part, parts.window_part)):
    for column, part in zip(st.columns(2, gap="large"), pair, strict=True):
        with column, section("learn.picture", heading=False):
            part(loop)
publish(*parts.PARAMETERS)
