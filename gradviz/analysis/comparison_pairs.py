"""The events that two runs have in common: the same update, phase and micro-step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from gradviz.analysis.frames import Flags, Integers, integers, phases
from gradviz.schema import PHASES

if TYPE_CHECKING:
    import pandas as pd

Side = Literal["first", "second"]
KEY = ["update", "phase", "micro_step", "again"]


@dataclass(frozen=True)
class LoneEvent:
    """An event that one run has (`side`) and the other, which recorded that window whole, has not.

    `place` counts the pairs before it.
    """

    side: Side
    place: int
    update: int
    micro_step: int
    phase: str


@dataclass(frozen=True)
class EventPairs:
    """P pairs in the order of the first run: the numbers of their events, and what they are."""

    first: Integers
    second: Integers
    update: Integers
    micro_step: Integers
    phase: Integers
    lone: LoneEvent | None
    """The earliest one; windows that a run did not record, or not whole, have none."""


def event_pairs(first: pd.DataFrame, second: pd.DataFrame) -> EventPairs:
    """Match the events of two runs (`Run.events()` of each)."""
    sides = {"first": _keyed(first), "second": _keyed(second)}
    both = sides["first"].merge(sides["second"], on=KEY, suffixes=("_first", "_second"))
    both = both.sort_values("event_first", kind="stable")
    lone = [
        found
        for side, other in (("first", "second"), ("second", "first"))
        if (found := _earliest_lone(sides[side], sides[other], integers(both, f"event_{side}"), side))  # type: ignore[arg-type]  # a Literal, through a loop
    ]
    return EventPairs(
        first=integers(both, "event_first"),
        second=integers(both, "event_second"),
        update=integers(both, "update"),
        micro_step=integers(both, "micro_step"),
        phase=integers(both, "phase"),
        lone=min(lone, key=lambda one: one.place, default=None),
    )


def _keyed(events: pd.DataFrame) -> pd.DataFrame:
    """The key of each event, ascending by number: `again` counts those of one window that are otherwise alike."""
    rows = events[["event", "update", "micro_step"]].assign(phase=phases(events))
    rows = rows.sort_values("event", kind="stable", ignore_index=True)
    return rows.assign(again=rows.groupby(["update", "phase", "micro_step"]).cumcount())


def _earliest_lone(own: pd.DataFrame, other: pd.DataFrame, paired: Integers, side: Side) -> LoneEvent | None:
    missing = ~np.isin(integers(own, "event"), paired)
    whole = np.isin(integers(own, "update"), _whole_windows(other))
    rows = own[missing & whole]
    if not len(rows):
        return None
    row = rows.iloc[0]
    return LoneEvent(
        side=side,
        place=int((np.sort(paired) < row["event"]).sum()),
        update=int(row["update"]),
        micro_step=int(row["micro_step"]),
        phase=PHASES[int(row["phase"])],
    )


def _whole_windows(rows: pd.DataFrame) -> Integers:
    """The windows that were recorded whole: no event is missing in them or beside them, and another follows."""
    event, update = integers(rows, "event"), integers(rows, "update")
    if not len(event):
        return update
    gap: Flags = np.diff(event, prepend=-1) != 1
    cut = np.concatenate([update[gap], update[:-1][gap[1:]], update[-1:]])
    return np.setdiff1d(update, cut)
