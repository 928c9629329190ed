"""The parts of the gradient-flow page: one moment, a film of many or two beside each other; updates over weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import streamlit as st
from dashboard_controls import controls
from dashboard_flow_moments import Film, Moment, choose_moment, film_from, moments_of
from dashboard_flow_pictures import (
    Kind,
    draw_change,
    draw_film,
    draw_flow,
    draw_pair,
    draw_ridge,
    draw_update_ratio,
    has_other_layers,
    layer_count,
)
from dashboard_flow_table import show_change_table, show_moment_table
from dashboard_reading import Question, Reading
from dashboard_sections import section, show_picture
from dashboard_widgets import pick_from_menu, pick_one, pick_several
from dashboard_words import language, printable, say, say_plain

from gradviz.analysis import STATISTICS

Mode = Literal["moment", "play", "pair"]
MOST_LINES = 6
# A constant script: it sees nothing of a run, and shows nothing.
_film_buttons = st.components.v2.component(
    "film", js=Path(__file__).with_name("film.js").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Choice:
    """What the reader asked for: `moment` or, of a pair, `before` and `moment`."""

    mode: Mode
    kind: Kind
    question: Question
    moment: Moment | None
    before: Moment | None


def ask(reading: Reading) -> Choice:
    """The controls of the page."""
    with controls():
        with st.container(horizontal=True, gap="medium"):  # wraps where columns would cut the buttons off
            modes: tuple[Mode, ...] = get_args(Mode)
            mode = pick_one("show", say("flow_mode.label"), modes, _mode, default="moment")
            statistic = pick_one(
                "statistic", say("choose.statistic"), STATISTICS, _statistic, default="mean_abs"
            )
            scale = pick_one("scale", say("choose.scale"), ("log", "linear"), _scale, default="log")
            kind = _choose_kind(reading)
        before, moment = _choose_moments(reading, mode)
    update = 0 if moment is None else moment.update
    question = Question((), statistic, scale == "log", (update, update), language(), (update, update))
    return Choice(mode, kind, question, moment, before)


def show_moments(reading: Reading, choice: Choice) -> None:
    """What was asked for, as pictures and as a table."""
    if choice.moment is None or (choice.mode == "pair" and choice.before is None):
        return
    if choice.mode == "play":
        with section("gradient_flow.play", heading=False):
            _film_part(reading, film_from(reading, choice.moment, layer_count(reading, choice.kind)), choice)
    elif choice.before is not None:
        with section("gradient_flow.change", heading=False):
            _pair_part(reading, choice.before, choice.moment, choice)
    else:
        with section("gradient_flow.picture", heading=False):
            _moment_part(reading, choice.moment, choice)


def update_ratio_part(reading: Reading) -> None:
    """How far each update moved the weights, over the whole run."""
    picture = draw_update_ratio(reading, (), language())
    if picture.figure is not None:
        hint = say("flow_choice.lines_help", most=MOST_LINES)
        lines = pick_several(
            "layer", say("flow_choice.lines"), reading.layers, default=(), most=MOST_LINES, hint=hint
        )
        picture = draw_update_ratio(reading, tuple(lines), language())
    show_picture("gradient_flow.update_ratio", picture)


def ridge_part(reading: Reading) -> None:
    """How many elements of one layer have which size, over the whole run."""
    names = reading.layers
    layer = pick_from_menu("spread", say("choose.layer"), names, printable, default=names[0])
    show_picture("gradient_flow.ridge", draw_ridge(reading, layer, language()))


def _moment_part(reading: Reading, moment: Moment, choice: Choice) -> None:
    among = moments_of(reading, (moment.update, moment.update))
    picture = draw_flow(reading, moment, among, choice.kind, choice.question)
    show_picture("gradient_flow.picture", picture)
    with section("gradient_flow.table"):
        show_moment_table(reading, moment, choice.kind, picture.record)


def _film_part(reading: Reading, film: Film, choice: Choice) -> None:
    show_picture("gradient_flow.play", draw_film(reading, film, choice.kind, choice.question))
    _film_buttons(
        key="gradient_flow.stop", data={key: say_plain(f"flow_film.{key}") for key in ("play", "pause")}
    )
    if film.ends_early:
        st.caption(say("flow_note.stops", last=film.moments[-1].update, count=len(film.moments)))


def _pair_part(reading: Reading, before: Moment, after: Moment, choice: Choice) -> None:
    pictures = draw_pair(reading, before, after, choice.kind, choice.question)
    columns = st.columns(2, gap="large")
    for place, name in enumerate(("first", "second")):
        with columns[place]:
            show_picture(f"gradient_flow.{name}", pictures[place])
    change = draw_change(reading, before, after, choice.kind, choice.question)
    show_picture("gradient_flow.change", change)
    with section("gradient_flow.table"):
        show_change_table(change.record)


def _choose_moments(reading: Reading, mode: Mode) -> tuple[Moment | None, Moment | None]:
    """The first of two (None where one is enough), and the moment itself."""
    if mode == "play":
        return None, choose_moment(reading, say("flow_choice.from"), role="film")
    if mode == "moment":
        return None, choose_moment(reading, say("choose.window"))
    left, right = st.columns(2, gap="large")
    with left:
        before = choose_moment(reading, say("flow_choice.first"), role="before")
    with right:
        return before, choose_moment(reading, say("flow_choice.second"))


def _choose_kind(reading: Reading) -> Kind:
    """All layers, or the weights alone: without biases a deep model is a line and not a comb."""
    if not has_other_layers(reading):
        return "all"
    kinds: tuple[Kind, ...] = get_args(Kind)
    return pick_one("kind", say("flow_choice.kind"), kinds, _kind, default="all")


def _mode(mode: str) -> str:
    return say(f"flow_mode.{mode}")


def _statistic(statistic: str) -> str:
    return say(f"statistic.{statistic}")


def _scale(scale: str) -> str:
    return say(f"scale.{scale}")


def _kind(kind: str) -> str:
    return say(f"flow_choice.{kind}")
