"""The parts of the page Compare: what to show, curves, and where two runs part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st
from dashboard_compare_pictures import (
    Choice,
    clock,
    draw_curves,
    draw_losses,
    draw_map,
    draw_parting,
)
from dashboard_compare_runs import Member
from dashboard_controls import controls
from dashboard_reading import Span
from dashboard_saving import draw_picture, picture_head
from dashboard_sections import show_picture
from dashboard_widgets import pick_from_menu, pick_one, pick_several, pick_span
from dashboard_words import language, literal, say, say_plain

from gradviz.analysis import AXES, STATISTICS, Axis, Comparison, DifferenceMap, Statistic
from gradviz.figures.comparison_wording import comparison_sentences
from gradviz.texts import joined, text

MOST_LAYERS = 4  # panels under each other
TOLERANCES = ("0", "1e-7", "1e-5", "1e-3", "1e-1")
USUAL_TOLERANCE = "1e-5"


def ask(members: Sequence[Member]) -> Choice:
    """The controls of the page."""
    with controls():
        layers_box, windows_box = st.columns([5, 4], gap="medium")
        with layers_box:
            hint = say("compare.part_help", most=MOST_LAYERS)
            names = _layers(members)
            layers = pick_several(
                "layer", say("choose.layers"), names, default=[], most=MOST_LAYERS, hint=hint
            )
        with windows_box:
            updates = _pick_windows(members)
        with st.container(horizontal=True, gap="medium"):  # wraps where columns would cut the buttons off
            axis = _pick_axis(members)
            statistic = _pick_statistic()
            log = _pick_scale() == "log"
        _axis_remarks(members, axis)
    return Choice(axis, tuple(layers), statistic, log, updates, language())


def curves_part(members: Sequence[Member], choice: Choice) -> None:
    """What the updates of all runs consumed."""
    show_picture("compare.curves", draw_curves(members, choice))


def losses_part(members: Sequence[Member], choice: Choice) -> None:
    """The losses of all runs."""
    show_picture("compare.losses", draw_losses(members, choice))


def choose_pair(members: Sequence[Member]) -> tuple[Member, Member, float]:
    """Which run is held against which, and from when on they differ."""
    by_id = {member.run_id: member for member in members}
    ids = list(by_id)
    base_box, other_box, tolerance_box = st.columns([4, 4, 4], vertical_alignment="top")
    with base_box:
        base = pick_from_menu("base", say("compare.base"), ids, lambda one: by_id[one].name, default=ids[0])
    with other_box:
        default = next(one for one in ids if one != base)
        others = [one for one in ids if one != base]
        other = pick_from_menu(
            "other", say("compare.other"), others, lambda one: by_id[one].name, default=default
        )
    with tolerance_box:
        tolerance = pick_one("tolerance", say("compare.tolerance"), TOLERANCES, str, default=USUAL_TOLERANCE)
    return by_id[base], by_id[other], float(tolerance)


def parting_part(first: Member, second: Member, tolerance: float) -> None:
    """The first moment at which two runs differ, and what that tells."""
    picture = draw_parting(first, second, tolerance, language())
    record: Comparison = picture.record
    with picture_head("compare.parting", picture):
        st.header(
            say("compare.parting.title"), anchor=False, help=say("compare.parting.help"), width="content"
        )
    show, icon = (st.success, "check_circle") if record.is_same else (st.info, "call_split")
    show(literal(joined(comparison_sentences(record, language()), language())), icon=f":material/{icon}:")
    if picture.figure is not None:
        draw_picture("compare.parting", picture)


def map_part(first: Member, second: Member, choice: Choice) -> None:
    """All common layers, and how many are not common."""
    picture = draw_map(first, second, choice)
    show_picture("compare.map", picture)
    record: DifferenceMap = picture.record
    for member, only in ((first, record.only_first), (second, record.only_second)):
        if only:
            st.caption(say("compare.only_in", run=member.name, count=len(only)))


def _layers(members: Sequence[Member]) -> list[str]:
    """The layers that most runs have first, in forward order."""
    times = Counter(name for member in members for name in member.reading.layers)
    return sorted(times, key=lambda name: -times[name])


def _pick_axis(members: Sequence[Member]) -> Axis:
    common = [axis for axis in AXES if all(axis in clock(member).axes for member in members)]
    return pick_one(
        "by",
        say("compare.by"),
        common,
        lambda axis: text(f"comparison.by.{axis}", language()),
        default="update",
    )


def _pick_statistic() -> Statistic:
    return pick_one(
        "statistic", say("choose.statistic"), STATISTICS, lambda one: say(f"statistic.{one}"), default="l2"
    )


def _pick_scale() -> str:
    return pick_one(
        "scale", say("choose.scale"), ("log", "linear"), lambda one: say(f"scale.{one}"), default="log"
    )


def _pick_windows(members: Sequence[Member]) -> Span:
    updates = [clock(member).update for member in members]
    first = min((int(one[0]) for one in updates if len(one)), default=0)
    last = max((int(one[-1]) for one in updates if len(one)), default=0)
    hint = say("choose.windows_help")
    return pick_span("windows", say("choose.windows"), first, last, default=(first, last), hint=hint)


def _axis_remarks(members: Sequence[Member], axis: Axis) -> None:
    """Why an axis is not there, and what it does not count."""
    some = [one for one in AXES if any(one in clock(member).axes for member in members)]
    missing = [one for one in some if not all(one in clock(member).axes for member in members)]
    if missing:
        named = [text(f"comparison.by.{one}", language()) for one in missing]
        st.caption(say("compare.not_aligned", axes=say_plain("diagnosis.comma").join(named)))
    if axis == "update":
        return
    for member in members:
        every = member.reading.run.metadata.get("every")
        if isinstance(every, int) and every > 1:
            st.caption(say("compare.every", run=member.name, every=every))
        if member.reading.run.gaps:
            st.caption(say("compare.gaps", run=member.name))
