"""Moments of a run and how the reader chooses them: one, a second one beside it, or a film of many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import dashboard_view as view
import streamlit as st
from dashboard_reading import Reading, Span, all_events, events
from dashboard_widgets import pick_from_menu, pick_number, pick_one
from dashboard_words import say

from gradviz.analysis.windows import usual_window

Role = Literal["one", "before", "film"]
FEW = 12  # moments that fit in a row of buttons; a longer window gets a menu
LONGEST_FILM = 60  # moments
FILM_WINDOWS = 8  # that a film has until the reader chooses where it begins
FILM_POINTS = 24_000  # layers x moments; more would take the browser seconds to load


@dataclass(frozen=True)
class Moment:
    """One event of a window: `name` is what the URL says, such as `reset`, `3`, `edit-3`, `update`."""

    name: str
    event: int
    update: int


@dataclass(frozen=True)
class Film:
    """Moments in order, and where among them the reader's own is; `ends_early` where the run goes on."""

    moments: tuple[Moment, ...]
    start: int
    ends_early: bool


def choose_moment(reading: Reading, label: str, *, role: Role = "one") -> Moment | None:
    """A window and a moment of it, to begin with the last of the usual length; a pair begins at the first one."""
    first, last = reading.windows
    newest = usual_window(all_events(reading.stamp, reading.run), (first, last))
    begin = {"one": newest, "before": first, "film": max(first, last - FILM_WINDOWS + 1)}[role]
    window, place = ("window2", "moment2") if role == "before" else ("window", "moment")
    update = pick_number(window, label, first, last, default=begin)
    moments = moments_of(reading, (update, update))
    if not moments:
        st.info(say("empty.window"), icon=":material/hourglass_empty:")
        return None
    known = [moment.name for moment in moments]
    pick = pick_one if len(known) <= FEW else pick_from_menu
    usual = _nearest(known[::-1] if role == "film" else known)
    chosen = pick(place, say("choose.moment"), known, _label, default=usual)
    return next(moment for moment in moments if moment.name == chosen)


def film_from(reading: Reading, moment: Moment, layers: int) -> Film:
    """The moments from the window of `moment` on, as many as a browser can play.

    Of a run that is being recorded the film stays as it was until another window is chosen: what is being played
    would begin anew with each refresh.
    """
    most = max(2, min(LONGEST_FILM, FILM_POINTS // max(layers, 1)))
    asked = (str(reading.run.path), reading.run.rank, view.value("window"), view.value("moment"), layers)
    pinned: tuple[object, Film] | None = st.session_state.get("flow.film")
    if pinned is None or pinned[0] != asked:
        ahead = moments_of(reading, (moment.update, min(moment.update + most, reading.windows[1] + 1)))
        start = next((place for place, one in enumerate(ahead) if one.event == moment.event), 0)
        pinned = (asked, Film(tuple(ahead[:most]), start, len(ahead) > most))
        st.session_state["flow.film"] = pinned
    return pinned[1]


def moments_of(reading: Reading, windows: Span) -> list[Moment]:
    """Every moment of some windows, in order."""
    rows = events(reading.stamp, reading.run, windows)
    seen: Counter[tuple[int, str]] = Counter()
    moments = []
    columns = (rows[name] for name in ("event", "update", "micro_step", "phase"))
    for event, update, micro_step, phase in zip(*columns, strict=True):
        stem = {"reset": "reset", "update": "update", "edit": f"edit-{micro_step}"}.get(
            phase, str(micro_step)
        )
        seen[update, stem] += 1  # two optimizers make two updates of one window
        again = seen[update, stem]
        moments.append(Moment(stem if again == 1 else f"{stem}~{again}", int(event), int(update)))
    return moments


def _nearest(names: list[str]) -> str:
    """The last micro-step of these, which shows G_n and g_n; in a shorter window than asked for, too."""
    return next((name for name in reversed(names) if name.isdecimal()), names[-1])


def _label(name: str) -> str:
    stem, _, again = name.partition("~")
    kind, _, k = stem.partition("-")
    label = say(f"moment.{kind}", k=k) if not kind.isdecimal() else say("moment.micro_step", k=kind)
    return f"{label} {again}".strip()
