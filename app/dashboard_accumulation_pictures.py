"""The pictures of the accumulation page, made once and kept until the run, the choice or the language changes."""

from __future__ import annotations

import streamlit as st
from dashboard_reading import KEPT, Picture, Question, Reading, Span, events, rows
from dashboard_words import Language

from gradviz.analysis import (
    Sawtooth,
    Statistic,
    WindowLedger,
    build_up,
    sawtooth,
    thin_windows,
    waterfall,
    window_ledger,
)
from gradviz.figures import plot_build_up, plot_sawtooth, plot_waterfall
from gradviz.store import Run


def ledger(reading: Reading, layers: tuple[str, ...] | None, updates: Span | None) -> WindowLedger:
    """One row a window; norms over `layers` (None: all)."""
    return _ledger(reading.stamp, reading.run, layers, updates)


def draw_sawtooth(reading: Reading, question: Question) -> Picture:
    """The sawtooth of the chosen layers; `record` is a list of `Sawtooth`."""
    return _draw_sawtooth(reading.stamp, reading.run, question)


def draw_build_up(reading: Reading, layers: tuple[str, ...] | None, question: Question) -> Picture:
    """The build-up over the windows shown: of one layer, of several together, or of all (None)."""
    return _draw_build_up(reading.stamp, reading.run, layers, question.updates, question.language)


def draw_waterfall(
    reading: Reading, layers: tuple[str, ...] | None, update: int, question: Question
) -> Picture:
    """One window, micro-step by micro-step."""
    return _draw_waterfall(reading.stamp, reading.run, layers, update, question.statistic, question.language)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _ledger(stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span | None) -> WindowLedger:
    return window_ledger(rows(stamp, _run, layers, updates), events(stamp, _run, updates))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_sawtooth(stamp: int, _run: Run, question: Question) -> Picture:
    taken = rows(stamp, _run, question.layers, question.reach)
    known = events(stamp, _run, question.reach)
    points = 6000 // max(len(question.layers), 1)
    extra = {"events": known, "segments": _run.segments}
    teeth: list[Sawtooth] = [
        thin_windows(sawtooth(taken, layer=layer, statistic=question.statistic, **extra), points=points)
        for layer in question.layers
    ]
    return Picture.of(plot_sawtooth(teeth, log=question.log, language=question.language), teeth)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_build_up(
    stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span, language: Language
) -> Picture:
    taken = rows(stamp, _run, layers, updates)
    record = build_up(taken, layer=layers[0] if layers is not None and len(layers) == 1 else None)
    return Picture.of(plot_build_up(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_waterfall(
    stamp: int,
    _run: Run,
    layers: tuple[str, ...] | None,
    update: int,
    statistic: Statistic,
    language: Language,
) -> Picture:
    taken = rows(stamp, _run, layers, (update, update))
    layer = layers[0] if layers is not None and len(layers) == 1 else None
    # A mean of |x| cannot be combined over layers of different sizes: the norm can.
    combined: Statistic = "l2" if layer is None and statistic == "mean_abs" else statistic
    known = events(stamp, _run, (update, update))
    record = waterfall(taken, update=update, layer=layer, statistic=combined, events=known)
    return Picture.of(plot_waterfall(record, language=language), record)
