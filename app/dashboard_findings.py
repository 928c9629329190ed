"""Findings of a run, made once and kept until the run changes; shared by all readers of this server."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st
from dashboard_examining import Examination, examination, is_too_large
from dashboard_reading import KEPT, Picture, Reading
from dashboard_words import Language

from gradviz.analysis import EvidenceSeries
from gradviz.diagnostics import Diagnosis, Finding, Level, examine
from gradviz.errors import GradvizError
from gradviz.figures import plot_evidence
from gradviz.store import Run, RunSummary

VERDICTS = 100_000  # kept; a verdict is a word and a number


@dataclass(frozen=True)
class Verdict:
    """The worst level that was found in a run, None for nothing, and how many findings there are."""

    level: Level | None
    count: int


def diagnosis(reading: Reading) -> Diagnosis | None:
    """What the checks say of the run as it stands, or as far as a long one was examined; None: not yet.

    Never waits for a long run: it is examined beside the server for as long as somebody asks.
    """
    if is_too_large(reading):
        return diagnosis_of_long(reading).found
    found = _diagnosis(reading.stamp, reading.run)
    _remember(reading, found)
    return found


def diagnosis_of_long(reading: Reading) -> Examination:
    """How far a long run was examined."""
    one = examination(reading)
    if one.is_current and one.stamp == reading.stamp:
        _remember(reading, one.found)
    return one


def draw_evidence(reading: Reading, place: int, finding: Finding, language: Language) -> Picture | None:
    """The evidence of the `place`-th finding; None where there is nothing to plot."""
    if finding.series is None:
        return None
    return _draw_evidence(reading.stamp, place, finding.series, finding.layers, language)


def verdict(reading: Reading) -> Verdict | None:
    """What is known of a run already; None where it was not looked at as it stands."""
    return _verdicts().get(reading.stamp)


def verdict_of(run: RunSummary) -> Verdict | None:
    """What is known of a listed run without opening it, as it stood when it was last examined."""
    stamp = _stamps().get(str(run.path))
    return None if stamp is None else _verdicts().get(stamp)


def give_up(run: RunSummary) -> None:
    """Note that a listed run cannot be examined in passing."""
    stamp = hash(str(run.path))
    _verdicts()[stamp], _stamps()[str(run.path)] = Verdict(None, -1), stamp


def look(readings: Iterable[Reading], seconds: float) -> bool:
    """Examine some of the runs, at least one, for about `seconds`; returns whether all have a verdict now."""
    end = time.monotonic() + seconds
    for reading in readings:
        if verdict(reading) is None:
            if time.monotonic() > end:
                return False
            _remember(reading, _examined_or_none(reading))
    return True


def _examined_or_none(reading: Reading) -> Diagnosis | None:
    try:
        return examine(reading.run)
    except (GradvizError, OSError):  # deleted or damaged since it was listed: its own page says so
        return None


def _remember(reading: Reading, found: Diagnosis | None) -> None:
    known, stamps = _verdicts(), _stamps()
    if reading.stamp not in known and len(known) >= VERDICTS:
        known.pop(next(iter(known)), None)
    if found is None:
        known[reading.stamp] = Verdict(None, -1)
    else:
        worst = found.findings[0].level if found.findings else None
        known[reading.stamp] = Verdict(worst, len(found.findings))
    if reading.run.rank is None:  # the verdict on one rank alone is none on the run
        if len(stamps) >= VERDICTS:
            stamps.pop(next(iter(stamps)), None)
        stamps[str(reading.run.path)] = reading.stamp


@st.cache_resource(show_spinner=False)
def _verdicts() -> dict[int, Verdict]:
    return {}


@st.cache_resource(show_spinner=False)
def _stamps() -> dict[str, int]:
    return {}


@st.cache_resource(max_entries=16, show_spinner=False)
def _diagnosis(stamp: int, _run: Run) -> Diagnosis:  # noqa: ARG001  # `stamp` is the cache key
    return examine(_run)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_evidence(
    stamp: int,  # noqa: ARG001  # `stamp` and `place` are the cache key
    place: int,  # noqa: ARG001
    _series: EvidenceSeries,
    layers: tuple[str, ...],
    language: Language,
) -> Picture:
    return Picture.of(plot_evidence(_series, layers=layers, language=language), _series)
