"""The parts of the page Learn: a tour in chapters, the reader's loop, and what it does."""

from __future__ import annotations

from typing import Literal, get_args

import dashboard_view as view
import streamlit as st
from dashboard_learn_formulas import FORMULAS, update_formula
from dashboard_learn_pictures import (
    draw_toy_build_up,
    draw_toy_loss,
    draw_toy_path,
    draw_toy_sawtooth,
    draw_toy_window,
    lessons_of,
    toy_of,
)
from dashboard_sections import show_picture
from dashboard_widgets import pick_number, pick_one
from dashboard_words import language, say

from gradviz.analysis.toy_code import as_text, toy_code
from gradviz.analysis.toy_loop import Mistake, ToyLoop
from gradviz.figures.numbers import number

Chapter = Literal["window", "division", "reset", "short", "tokens", "noise", "clipping"]
CHAPTERS: tuple[Chapter, ...] = get_args(Chapter)
MOST_MICRO_STEPS, MOST_SEEDS = 16, 999
BATCHES = ("1", "2", "4", "8", "16")
NOISES = ("0", "0.5", "1", "2")
RATES = ("0.5", "0.25", "0.125", "0.0625")
PARAMETERS = ("lang", "chapter", "n", "batch", "noise", "rate", "mistake", "seed")


def tour() -> Chapter:
    """Which chapter to read; a click on one also sets the loop that it speaks of."""
    asked = view.value("chapter")
    chapter = next((one for one in CHAPTERS if one == asked), CHAPTERS[0])
    st.session_state["widget.chapter"] = chapter
    st.segmented_control(
        say("learn.chapter"),
        CHAPTERS,
        key="widget.chapter",
        format_func=lambda one: say(f"learn.tour.{one}"),
        label_visibility="collapsed",
        on_change=_turn_to,
    )
    return chapter


def _turn_to() -> None:
    chapter = st.session_state["widget.chapter"] or CHAPTERS[0]
    view.touch("chapter", chapter)
    view.touch("mistake", [one.value for one in Mistake if one == chapter])
    view.touch("noise", NOISES[-1] if chapter == "noise" else None)


def ask() -> ToyLoop:
    """The reader's loop."""
    mistakes = _mistakes()
    micro_steps = pick_number("n", say("learn.choose.n"), 1, MOST_MICRO_STEPS, default=4)
    return ToyLoop(
        micro_steps=micro_steps,
        batch=int(pick_one("batch", say("learn.choose.batch"), BATCHES, str, default="4")),
        rate=float(pick_one("rate", say("learn.choose.rate"), RATES, str, default="0.25")),
        noise=float(pick_one("noise", say("learn.choose.noise"), NOISES, str, default="0.5")),
        mistakes=mistakes,
        seed=_seed(),
    )


def _mistakes() -> frozenset[Mistake]:
    asked = view.values("mistake")
    pressed = [one for one in Mistake if one.value in asked]
    st.session_state["widget.mistake"] = pressed
    st.pills(
        say("learn.choose.mistake"),
        list(Mistake),
        key="widget.mistake",
        selection_mode="multi",
        format_func=lambda one: say(f"learn.mistake.{one.value}"),
        help=say("learn.choose.mistake_help"),
        on_change=lambda: view.touch("mistake", [one.value for one in st.session_state["widget.mistake"]]),
    )
    return frozenset(pressed)


def _seed() -> int:
    seed = min(view.number("seed") or 0, MOST_SEEDS)
    st.button(
        say("learn.choose.seed"),
        key="learn.seed",
        icon=":material/casino:",
        help=say("learn.choose.seed_help"),
        on_click=view.touch,
        args=("seed", str((seed + 1) % MOST_SEEDS)),
    )
    return seed


def chapter_part(chapter: Chapter) -> None:
    """A few sentences and their formula."""
    st.markdown(say(f"learn.text.{chapter}"))
    st.latex(FORMULAS[chapter])


def code_part(loop: ToyLoop) -> None:
    """The loop as code and as a formula, its mistakes marked."""
    lines = toy_code(loop)
    is_right = all(line.part == "plain" for line in lines)
    st.markdown(f"**{say('learn.code')}**")
    st.caption(say("learn.code_right") if is_right else say("learn.code_wrong"))
    st.code(as_text(lines), language="python" if is_right else "diff", wrap_lines=True)
    st.caption(say("learn.update"))
    st.latex(update_formula(loop))


def lessons_part(loop: ToyLoop) -> None:
    """What is to be seen now, in numbers of this very training."""
    lessons = lessons_of(loop)
    if len(lessons) > 1 and lessons[0].is_wrong:
        st.caption(say("learn.alone"))
    for lesson in lessons:
        numbers = {name: number(value) for name, value in lesson.numbers.items()}
        show = st.warning if lesson.is_wrong else st.success if lesson.code == "right" else st.info
        show(say(f"learn.lesson.{lesson.code}", **numbers))


def sawtooth_part(loop: ToyLoop) -> None:
    """All windows of the training."""
    show_picture("learn.sawtooth", draw_toy_sawtooth(loop, language()))


def path_part(loop: ToyLoop) -> None:
    """Where the weights went."""
    show_picture("learn.path", draw_toy_path(loop, language()))


def loss_part(loop: ToyLoop) -> None:
    """What it did to the loss."""
    show_picture("learn.loss", draw_toy_loss(loop, language()))


def build_up_part(loop: ToyLoop) -> None:
    """Whether accumulating adds signal, and the true noise scale beside it."""
    show_picture("learn.build_up", draw_toy_build_up(loop, language()))
    toy = toy_of(loop)
    scales = {"start": toy.reference[0], "end": toy.reference[-1]}
    numbers = {name: number(toy.noise_scale(weights)) for name, weights in scales.items()}
    st.caption(say("learn.noise_now", samples=number(loop.micro_steps * loop.batch), **numbers))


def window_part(loop: ToyLoop) -> None:
    """The last window of the first epoch, micro-step by micro-step."""
    show_picture("learn.window", draw_toy_window(loop, language()))
