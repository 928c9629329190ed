"""Records and pictures of one run, made once and kept until the run, the choice or the language changes.

What is kept is shared by all readers of this server and never changed: frozen records, finished figures.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st
from dashboard_words import Language

from gradviz.analysis import (
    LayerFlow,
    Sawtooth,
    Statistic,
    WindowLedger,
    build_up,
    distribution,
    layer_flow,
    sawtooth,
    thin_windows,
    waterfall,
    window_ledger,
)
from gradviz.figures import (
    plot_build_up,
    plot_distribution_ridge,
    plot_layer_flow,
    plot_sawtooth,
    plot_waterfall,
)
from gradviz.store import Run

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 2_000_000  # more and a picture of the whole model is made of the chosen layers instead
KEPT = 64  # pictures and records in memory; a figure of 6,000 points takes about 0.5 MB

Span = tuple[int, int]


@dataclass(frozen=True)
class Reading:
    """A run as it stood when the page began: `stamp` changes when new parts arrive."""

    run: Run
    stamp: int

    @classmethod
    def of(cls, run: Run) -> Reading:
        """Look at the run now."""
        return cls(run, hash((str(run.path), run.fingerprint())))

    @property
    def windows(self) -> Span:
        """First and last window that has more than the reset which ends a run."""
        known = events(self.stamp, self.run)
        real = known.loc[known["phase"] != "reset", "update"]
        return (int(real.min()), int(real.max())) if len(real) else (self.run.updates or (0, 0))

    def reach(self, windows: Span) -> Span:
        """`windows`, and the reset that ends the run when they go up to its end."""
        first, last = windows
        return (first, last + 1) if last == self.windows[1] else windows

    @property
    def layers(self) -> list[str]:
        """Names of the recorded layers in forward order."""
        return [str(name) for name in self.run.layers["layer"]]


@dataclass(frozen=True)
class Picture:
    """A finished figure (a `go.Figure`, or None: this room does not import plotly) and what it was made of.

    Its title and sentence stand above it as text of the page, where they wrap, scale and can be read aloud.
    """

    figure: Any
    title: str
    sentence: str
    record: Any

    @classmethod
    def of(cls, figure: Any, record: Any) -> Picture:
        """Take the words out of the figure; one without anything drawn is its sentence alone."""
        words = figure.layout.title
        if not figure.data:
            reasons = (_plain(annotation.text) for annotation in figure.layout.annotations)
            return cls(None, _plain(words.text), " ".join(reasons), record)
        picture = cls(figure, _plain(words.text), _plain(words.subtitle.text), record)
        figure.update_layout(title={"text": "", "subtitle": {"text": ""}}, margin={"t": 16})
        return picture


@dataclass(frozen=True)
class Question:
    """What the reader asked for: `updates` are the windows chosen, `reach` those to read."""

    layers: tuple[str, ...]
    statistic: Statistic
    log: bool
    updates: Span
    language: Language
    reach: Span


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


def draw_flow(reading: Reading, event: int, update: int, question: Question) -> Picture:
    """All layers at one event."""
    return _draw_flow(
        reading.stamp, reading.run, event, update, question.statistic, question.log, question.language
    )


def draw_ridge(reading: Reading, layer: str, language: Language) -> Picture:
    """How the sizes of one layer's elements move over the whole run."""
    return _draw_ridge(reading.stamp, reading.run, layer, language)


def _plain(markup: str | None) -> str:
    """Plotly's markup as letters; it knows a few tags, and names in it are entities."""
    return html.unescape(re.sub(r"<[^>]*>", " ", markup or "")).strip()


@st.cache_data(max_entries=16, show_spinner=False)
def events(stamp: int, _run: Run, updates: Span | None = None) -> pd.DataFrame:  # noqa: ARG001  # cache key
    """`Run.events()`, kept."""
    return _run.events(updates=updates)


@st.cache_resource(max_entries=8, show_spinner=False)
def _rows(stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span | None) -> pd.DataFrame:  # noqa: ARG001
    return _run.gradients(layers=None if layers is None else list(layers), updates=updates)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _ledger(stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span | None) -> WindowLedger:
    return window_ledger(_rows(stamp, _run, layers, updates), events(stamp, _run, updates))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_sawtooth(stamp: int, _run: Run, question: Question) -> Picture:
    rows = _rows(stamp, _run, question.layers, question.reach)
    known = events(stamp, _run, question.reach)
    points = 6000 // max(len(question.layers), 1)
    extra = {"events": known, "segments": _run.segments}
    teeth: list[Sawtooth] = [
        thin_windows(sawtooth(rows, layer=layer, statistic=question.statistic, **extra), points=points)
        for layer in question.layers
    ]
    return Picture.of(plot_sawtooth(teeth, log=question.log, language=question.language), teeth)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_build_up(
    stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span, language: Language
) -> Picture:
    rows = _rows(stamp, _run, layers, updates)
    record = build_up(rows, layer=layers[0] if layers is not None and len(layers) == 1 else None)
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
    rows = _rows(stamp, _run, layers, (update, update))
    layer = layers[0] if layers is not None and len(layers) == 1 else None
    # A mean of |x| cannot be combined over layers of different sizes: the norm can.
    combined: Statistic = "l2" if layer is None and statistic == "mean_abs" else statistic
    known = events(stamp, _run, (update, update))
    record = waterfall(rows, update=update, layer=layer, statistic=combined, events=known)
    return Picture.of(plot_waterfall(record, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_flow(
    stamp: int, _run: Run, event: int, update: int, statistic: Statistic, log: bool, language: Language
) -> Picture:
    rows = _rows(stamp, _run, None, (update, update))
    record: LayerFlow = layer_flow(rows, event=event, statistic=statistic, layers=_run.layers)
    return Picture.of(plot_layer_flow(record, log=log, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_ridge(stamp: int, _run: Run, layer: str, language: Language) -> Picture:  # noqa: ARG001  # cache key
    record = distribution(_run.distributions(layers=layer), layer=layer)
    return Picture.of(plot_distribution_ridge(record, language=language), record)
