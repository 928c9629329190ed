"""The pictures of the accumulation page, made once and kept until the run, the choice or the language changes."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from dashboard_accumulation_choice import Choice
from dashboard_reading import KEPT, Picture, Reading, Span, all_events, events, rows
from dashboard_words import Language

from gradviz.analysis import (
    PlaceMark,
    Sawtooth,
    Statistic,
    WindowLedger,
    build_up,
    noise_over_time,
    run_story,
    sawtooth,
    thin_windows,
    waterfall,
    window_ledger,
)
from gradviz.analysis.groups import Group
from gradviz.analysis.noise_over_time import spread_updates
from gradviz.analysis.series_rows import series_rows
from gradviz.figures import plot_build_up, plot_noise_over_time, plot_sawtooth, plot_waterfall
from gradviz.store import Run

POINTS = 6000  # of all teeth of a picture together
STORY_ROWS = 300_000  # that a picture of the whole run is made of, or
SPREAD_ROWS = 100_000  # that it is made of where there are more
PIECES = 12  # places of a longer run that are read instead
SEGMENT = 4096  # events that are read for one of them, at least: rows are stored so many together
READ_ROWS = 1_000_000  # that may be read for it


def ledger(reading: Reading, layers: tuple[str, ...] | None, updates: Span) -> WindowLedger:
    """One row a window; norms over `layers` (None: all)."""
    return _ledger(reading.stamp, reading.run, layers, updates)


def draw_sawtooth(reading: Reading, choice: Choice, marks: tuple[PlaceMark, ...]) -> Picture:
    """The sawtooth of the chosen series; `record` is a list of `Sawtooth`."""
    return _draw_sawtooth(reading.stamp, reading.run, choice, marks)


def draw_build_up(reading: Reading, group: Group | None, choice: Choice) -> Picture:
    """The build-up over the windows shown: of the layers of a group together, or of all (None)."""
    return _draw_build_up(reading.stamp, reading.run, group, choice.updates, choice.language)


def draw_waterfall(reading: Reading, group: Group | None, update: int, choice: Choice) -> Picture:
    """One window, micro-step by micro-step."""
    return _draw_waterfall(reading.stamp, reading.run, group, update, choice.statistic, choice.language)


def draw_noise_over_time(reading: Reading, group: Group | None, language: Language) -> Picture:
    """Coherence and noise scale over the whole run."""
    return _draw_noise_over_time(reading.stamp, reading.run, group, language)


def is_readable(reading: Reading, layers: int) -> bool:
    """Whether rows of so many layers can be read all over the run, or at enough places of it."""
    everywhere = layers * len(all_events(reading.stamp, reading.run)) <= STORY_ROWS
    return everywhere or layers * SEGMENT * PIECES <= READ_ROWS


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _ledger(stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span) -> WindowLedger:
    return window_ledger(rows(stamp, _run, layers, updates), events(stamp, _run, updates))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_sawtooth(stamp: int, _run: Run, choice: Choice, marks: tuple[PlaceMark, ...]) -> Picture:
    taken = series_rows(rows(stamp, _run, choice.layers, choice.reach), _run.layers, choice.series)
    known = events(stamp, _run, choice.reach)
    points = POINTS // len(choice.series)
    extra = {"events": known, "segments": _run.segments}
    teeth: list[Sawtooth] = [
        thin_windows(sawtooth(taken, layer=one.name, statistic=choice.statistic, **extra), points=points)
        for one in choice.series
    ]
    figure = plot_sawtooth(teeth, log=choice.log, panels=choice.panels, marks=marks, language=choice.language)
    return Picture.of(figure, teeth)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_build_up(stamp: int, _run: Run, group: Group | None, updates: Span, language: Language) -> Picture:
    record = build_up(rows(stamp, _run, None if group is None else group.layers, updates))
    record = replace(record, layer=None if group is None else group.name)
    return Picture.of(plot_build_up(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_waterfall(
    stamp: int, _run: Run, group: Group | None, update: int, statistic: Statistic, language: Language
) -> Picture:
    span = (update, update)
    taken = rows(stamp, _run, None if group is None else group.layers, span)
    known = events(stamp, _run, span)
    record = waterfall(taken, update=update, statistic=statistic, events=known, table=_run.layers)
    record = replace(record, layer=None if group is None else group.name)
    return Picture.of(plot_waterfall(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_noise_over_time(stamp: int, _run: Run, group: Group | None, language: Language) -> Picture:
    layers = None if group is None else group.layers
    known, count = all_events(stamp, _run), len(_run.layers if layers is None else layers)
    few = count * len(known) <= STORY_ROWS
    updates = None if few else spread_updates(known, most=SPREAD_ROWS // count, pieces=PIECES)
    story = run_story(_run, layers=layers, updates=updates)
    record = noise_over_time(story, layer=None if group is None else group.name)
    return Picture.of(plot_noise_over_time(record, language=language), record)
