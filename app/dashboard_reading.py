"""A run as it stood when the page began; what is read of it is kept until the run, the choice or the language changes.

What is kept is shared by all readers of this server and never changed: frozen records, finished figures.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st
from dashboard_words import Language

from gradviz.analysis import Statistic
from gradviz.figures.canvas import untitled
from gradviz.store import DamagedPart, Run

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
        return self.run.windows or self.run.updates or (0, 0)

    def reach(self, windows: Span) -> Span:
        """`windows`, and the reset that ends the run when they go up to its end."""
        first, last = windows
        return (first, last + 1) if last == self.windows[1] else windows

    @property
    def layers(self) -> list[str]:
        """Names of the recorded layers in forward order."""
        return [str(name) for name in self.run.layers["layer"]]

    @property
    def damaged(self) -> list[DamagedPart]:
        """What was found damaged, by whichever reader of this server: what is kept of a run is not read anew."""
        known = _damaged(self.stamp)
        known.update({str(part.path): part for part in self.run.damaged})
        return list(known.values())


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
        sentence = _plain(figure.layout.meta["sentence"])
        if not figure.data:
            return cls(None, _plain(words.text), sentence, record)
        picture = cls(figure, _plain(words.text), sentence, record)
        untitled(figure)
        figure.update_layout(paper_bgcolor=None)  # the page's own: a saved image is legible anywhere
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


def _plain(markup: str | None) -> str:
    """Plotly's markup as letters; it knows a few tags, and names in it are entities."""
    return html.unescape(re.sub(r"<[^>]*>", " ", markup or "")).strip()


@st.cache_resource(max_entries=1000, show_spinner=False)
def _damaged(stamp: int) -> dict[str, DamagedPart]:  # noqa: ARG001  # cache key
    return {}


@st.cache_resource(max_entries=16, show_spinner=False)
def events(stamp: int, _run: Run, updates: Span) -> pd.DataFrame:  # noqa: ARG001  # cache key
    """`Run.events()` of some windows, kept."""
    return _run.events(updates=updates)


@st.cache_resource(max_entries=4, show_spinner=False)
def all_events(stamp: int, _run: Run) -> pd.DataFrame:  # noqa: ARG001  # cache key
    """What each event of the whole run is, without what was logged: of 400,000 events that takes 100 MB."""
    return _run.events(columns=())


@st.cache_resource(max_entries=8, show_spinner=False)
def rows(stamp: int, _run: Run, layers: tuple[str, ...] | None, updates: Span | None) -> pd.DataFrame:  # noqa: ARG001
    """`Run.gradients()`, kept."""
    return _run.gradients(layers=None if layers is None else list(layers), updates=updates)
