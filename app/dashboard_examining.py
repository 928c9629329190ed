"""Long runs are examined in a process of their own while the page waits, says how far it is, and can be left."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st
from dashboard_reading import Reading

from gradviz.diagnostics import Diagnosis
from gradviz.diagnostics.apart import examine_apart
from gradviz.errors import ExaminationError, GradvizError
from gradviz.store import RunSummary

ROWS_AT_ONCE = 4_000_000  # a run of more is examined apart: less than this takes some tenths of a second
PATIENCE = 10.0  # seconds: nobody has asked for so long, so nobody waits any more
REST = 30.0  # seconds before a live run, which goes on growing, is examined again

_ONE_AT_A_TIME = threading.Lock()  # each takes a core and about a gigabyte

Key = tuple[str, int | None]


@dataclass
class Examination:
    """How far the examination of one run is; `found` is of the run as it stood at `stamp`, or of one before it."""

    path: Path
    rank: int | None
    stamp: int
    found: Diagnosis | None = None
    found_stamp: int | None = None
    done: float = 0.0
    is_over: bool = False
    problem: str | None = None
    asked: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    thread: threading.Thread | None = None

    @property
    def is_current(self) -> bool:
        """Whether `found` is of the run as it was when this was begun."""
        return self.found is not None and self.found_stamp == self.stamp


def is_too_large(reading: Reading) -> bool:
    """Whether examining the run would hold a page up, and fill the server's memory."""
    return len(reading.run.layers) * ((reading.run.last_event or 0) + 1) > ROWS_AT_ONCE


def is_large(listed: RunSummary) -> bool:
    """The same of a run that was not opened."""
    return listed.layers * (listed.events or 0) > ROWS_AT_ONCE


def examination(reading: Reading) -> Examination:
    """What is known of a long run; it is begun where it was not. Raises ExaminationError where it failed."""
    known = _examinations()
    key = str(reading.run.path), reading.run.rank
    now = time.monotonic()
    with _lock():
        one = known.get(key)
        if one is None or _is_due(one, reading.stamp, now):
            one = known[key] = _begin(reading, one)
        one.asked = now
    if one.problem is not None:
        raise ExaminationError(one.problem)
    return one


def _is_due(one: Examination, stamp: int, now: float) -> bool:
    """Whether to begin again: it was left half way, or it failed or the run has grown since, a while ago."""
    if not one.is_over:
        return False
    was_left = one.problem is None and not one.is_current
    return was_left or ((one.problem is not None or one.stamp != stamp) and now - one.ended > REST)


def _begin(reading: Reading, before: Examination | None) -> Examination:
    one = Examination(reading.run.path, reading.run.rank, reading.stamp)
    if before is not None:
        one.found, one.found_stamp = before.found, before.found_stamp
    one.thread = threading.Thread(target=_examine, args=(one,), name="gradviz-examine", daemon=True)
    one.thread.start()
    return one


def _examine(one: Examination) -> None:
    while not _ONE_AT_A_TIME.acquire(timeout=1.0):
        if _is_left(one):
            break
    else:
        try:
            _follow(one)
        except (GradvizError, OSError) as error:
            one.problem = str(error)
        finally:
            _ONE_AT_A_TIME.release()
    one.ended = time.monotonic()
    one.is_over = True


def _follow(one: Examination) -> None:
    with closing(examine_apart(one.path, one.rank)) as steps:
        for step in steps:
            if isinstance(step, Diagnosis):
                one.found, one.found_stamp = step, one.stamp
            elif _is_left(one):
                return
            else:
                one.done = step


def _is_left(one: Examination) -> bool:
    return time.monotonic() - one.asked > PATIENCE


@st.cache_resource(show_spinner=False)
def _examinations() -> dict[Key, Examination]:
    return {}


@st.cache_resource(show_spinner=False)
def _lock() -> threading.Lock:
    return threading.Lock()
