"""The toy and its pictures, made once for each choice and kept."""

from __future__ import annotations

import streamlit as st
from dashboard_reading import KEPT, Picture
from dashboard_words import Language

from gradviz.analysis import build_up, sawtooth, waterfall
from gradviz.analysis.accumulation_toy import AccumulationToy, accumulation_toy
from gradviz.analysis.toy_lessons import ToyLesson, is_diverging, toy_lessons
from gradviz.analysis.toy_loop import ToyLoop
from gradviz.analysis.toy_path import toy_path
from gradviz.analysis.toy_rows import TOY_LAYER
from gradviz.figures import plot_build_up, plot_sawtooth, plot_toy_loss, plot_toy_path, plot_waterfall


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def toy_of(loop: ToyLoop) -> AccumulationToy:
    """The training that the reader chose."""
    return accumulation_toy(loop)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def lessons_of(loop: ToyLoop) -> list[ToyLesson]:
    """What is to be seen in it."""
    return toy_lessons(toy_of(loop))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def draw_toy_sawtooth(loop: ToyLoop, language: Language) -> Picture:
    """The sawtooth of its one layer; on a log axis where the training diverges."""
    toy = toy_of(loop)
    record = sawtooth(toy.gradients, layer=TOY_LAYER, statistic="l2", events=toy.events)
    return Picture.of(plot_sawtooth(record, log=is_diverging(toy), language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def draw_toy_build_up(loop: ToyLoop, language: Language) -> Picture:
    """How its micro-gradients add up."""
    record = build_up(toy_of(loop).gradients, layer=TOY_LAYER)
    return Picture.of(plot_build_up(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def draw_toy_path(loop: ToyLoop, language: Language) -> Picture:
    """The way of its two weights."""
    record = toy_path(toy_of(loop))
    return Picture.of(plot_toy_path(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def draw_toy_loss(loop: ToyLoop, language: Language) -> Picture:
    """Its loss, update by update."""
    record = toy_path(toy_of(loop))
    return Picture.of(plot_toy_loss(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def draw_toy_window(loop: ToyLoop, language: Language) -> Picture:
    """The last window of its first epoch, which is the short one where there are short ones."""
    toy = toy_of(loop)
    record = waterfall(toy.gradients, update=toy.end_of_epoch, layer=TOY_LAYER, events=toy.events)
    return Picture.of(plot_waterfall(record, language=language), record)
