"""The pictures and tables of the page Compare, made once and kept until a run, the choice or the language changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from dashboard_compare_runs import Member
from dashboard_reading import KEPT, ROWS_AT_ONCE, Picture, Span
from dashboard_words import Language

from gradviz.analysis import (
    Axis,
    ComparedFacts,
    ComparedRun,
    RunClock,
    Statistic,
    compared_curves,
    compared_facts,
    compared_losses,
    compared_run,
    comparison,
    difference_map,
    rows_to_read,
    run_clock,
)
from gradviz.analysis.comparison_clock import CLOCK_COLUMNS
from gradviz.figures import plot_compared_curves, plot_comparison, plot_difference_map
from gradviz.store import Run

ROWS_TO_PART = (
    1_000_000  # of each run that are looked at for the first difference; the command line looks at all
)

KEPT_RUNS = 8  # what the updates of a run consumed: up to 50 MB each; six are compared at most

Stamps = tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """What the reader asked for; no layer stands for the whole model."""

    axis: Axis
    layers: tuple[str, ...]
    statistic: Statistic
    log: bool
    updates: Span
    language: Language


def clock(member: Member) -> RunClock:
    """How far the run had come at each of its updates."""
    return _clock(member.reading.stamp, member.reading.run)


def draw_curves(members: Sequence[Member], choice: Choice) -> Picture:
    """What the updates of each run consumed."""
    return _draw_curves(_stamps(members), members, _names(members), choice)


def draw_losses(members: Sequence[Member], choice: Choice) -> Picture:
    """The losses of each run."""
    return _draw_losses(_stamps(members), members, _names(members), choice)


def draw_map(first: Member, second: Member, choice: Choice) -> Picture:
    """The second run over the first, layer by layer."""
    pair = (first, second)
    return _draw_map(_stamps(pair), pair, _names(pair), choice)


def draw_parting(first: Member, second: Member, tolerance: float, language: Language) -> Picture:
    """Where two runs part."""
    pair = (first, second)
    return _draw_parting(_stamps(pair), pair, (first.name, second.name), tolerance, language)


def facts_of(members: Sequence[Member]) -> ComparedFacts:
    """What the runs say of themselves."""
    states = tuple(member.reading.run.state.value for member in members)
    return _facts(_stamps(members), states, members, _names(members))


def _stamps(members: Sequence[Member]) -> Stamps:
    return tuple(member.reading.stamp for member in members)


def _names(members: Sequence[Member]) -> tuple[str, ...]:
    return tuple(member.name for member in members)


def _read(members: Sequence[Member], choice: Choice, layers: tuple[str, ...] | None) -> list[ComparedRun]:
    """Every update, or the overview of runs that are too long for it: of all of them alike."""
    count = None if layers is None else len(layers)
    rows = sum(rows_to_read(member.reading.run, count, choice.updates) for member in members)
    return [
        _consumed(
            member.reading.stamp,
            member.reading.run,
            member.name,
            choice.statistic,
            layers,
            choice.updates,
            rows <= ROWS_AT_ONCE,
        )
        for member in members
    ]


@st.cache_resource(max_entries=16, show_spinner=False)
def _clock(stamp: int, _run: Run) -> RunClock:  # noqa: ARG001  # `stamp` is the cache key
    return run_clock(_run.events(columns=CLOCK_COLUMNS))


@st.cache_resource(max_entries=KEPT_RUNS, show_spinner=False)
def _consumed(
    stamp: int,
    _run: Run,
    name: str,
    statistic: Statistic,
    layers: tuple[str, ...] | None,
    updates: Span,
    exact: bool,
) -> ComparedRun:
    clock = _clock(stamp, _run)
    return compared_run(
        _run, name=name, statistic=statistic, layers=layers, updates=updates, exact=exact, clock=clock
    )


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_curves(
    stamps: Stamps,  # noqa: ARG001  # `stamps` and `names` are the cache key
    _members: Sequence[Member],
    names: tuple[str, ...],  # noqa: ARG001
    choice: Choice,
) -> Picture:
    runs = _read(_members, choice, choice.layers or None)
    record = compared_curves(runs, layers=choice.layers, axis=choice.axis)
    return Picture.of(plot_compared_curves(record, log=choice.log, language=choice.language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_losses(
    stamps: Stamps,  # noqa: ARG001  # the cache key
    _members: Sequence[Member],
    names: tuple[str, ...],
    choice: Choice,
) -> Picture:
    clocks = [clock(member) for member in _members]
    record = compared_losses(names, clocks, axis=choice.axis, updates=choice.updates)
    return Picture.of(plot_compared_curves(record, log=choice.log, language=choice.language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_map(
    stamps: Stamps,  # noqa: ARG001  # `stamps` and `names` are the cache key
    _pair: tuple[Member, Member],
    names: tuple[str, ...],  # noqa: ARG001
    choice: Choice,
) -> Picture:
    record = difference_map(*_read(_pair, choice, None), axis=choice.axis)
    return Picture.of(plot_difference_map(record, language=choice.language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_parting(
    stamps: Stamps,  # noqa: ARG001  # the cache key
    _pair: tuple[Member, Member],
    names: tuple[str, str],
    tolerance: float,
    language: Language,
) -> Picture:
    first, second = (member.reading.run for member in _pair)
    record = comparison(first, second, runs=names, rtol=tolerance, rows=ROWS_TO_PART)
    return Picture.of(plot_comparison(record, language=language), record)


@st.cache_resource(max_entries=16, show_spinner=False)
def _facts(
    stamps: Stamps,  # noqa: ARG001  # `stamps` and `states` are the cache key
    states: tuple[str, ...],  # noqa: ARG001
    _members: Sequence[Member],
    names: tuple[str, ...],
) -> ComparedFacts:
    return compared_facts([member.reading.run for member in _members], names)
