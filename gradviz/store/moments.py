"""The same moment of training on several ranks: matched by what it is, not by a number that may have slipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from numpy.typing import NDArray

MOMENT = ("event", "update", "micro_step", "phase")

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Moments in order: `number` [N] ascending, `update` [N]; `own[rank]` are the rank's events, ascending,
    and `place[rank]` where each of them stands in `number`.

    Where the ranks count alike, and they nearly always do, a moment has the number of its event. Where one
    of them has an event more (an edit that only it saw), the others' later events are moved on.
    """

    number: Integers
    update: Integers
    own: Mapping[int, Integers]
    place: Mapping[int, Integers]

    def numbers(self, rank: int, events: NDArray[Any]) -> tuple[Integers, NDArray[np.bool_]]:
        """Numbers of a rank's events, and which of the events are known."""
        own = self.own[rank]
        if not len(own):
            return np.zeros(len(events), dtype=np.int64), np.zeros(len(events), dtype=bool)
        at = np.minimum(np.searchsorted(own, events), len(own) - 1)
        return self.number[self.place[rank][at]], own[at] == events

    def present(self, rank: int) -> NDArray[np.bool_]:
        """[N] Which moments the rank has."""
        there = np.zeros(len(self.number), dtype=bool)
        there[self.place[rank]] = True
        return there


def match_moments(events: Mapping[int, Any]) -> Moments:
    """Match the events of several ranks.

    `events[rank]` is an Arrow table with the columns `MOMENT`, ascending by event. A moment is the n-th
    event of a phase at a micro-step of an update: two optimizers make two updates of one window.
    """
    columns = {
        rank: [table.column(name).to_numpy().astype(np.int64) for name in MOMENT]
        for rank, table in events.items()
    }
    codes = {rank: _codes(*of[1:]) for rank, of in columns.items()}
    own = {rank: of[0] for rank, of in columns.items()}
    everything = np.concatenate([np.zeros(0, np.int64), *own.values()])
    every_code = np.concatenate([np.zeros(0, np.int64), *codes.values()])
    if _count_alike(everything, every_code):
        number, first = np.unique(everything, return_index=True)
        place = {rank: np.searchsorted(number, of) for rank, of in own.items()}
    else:
        nth = np.concatenate([_nth(of) for of in codes.values()])
        _, dense = np.unique(every_code, return_inverse=True)
        moments, first, inverse = np.unique(
            dense * (1 + nth.max()) + nth, return_index=True, return_inverse=True
        )
        latest = np.zeros(len(moments), dtype=np.int64)
        np.maximum.at(latest, inverse, everything)
        steps = np.arange(len(moments))
        number = steps + np.maximum.accumulate(latest - steps)
        ends = np.cumsum([len(of) for of in own.values()])[:-1]
        place = dict(zip(own, np.split(inverse, ends), strict=True))
    return Moments(number, every_code[first] >> 17, own, place)


def completed(events: Any, moments: Any) -> Any:
    """A table of events, ascending, with a row for each of the moments that it lacks: all but `MOMENT` is null."""
    number, first = np.unique(moments.column("event").to_numpy(), return_index=True)
    lacking = moments.take(pa.array(first[~np.isin(number, events.column("event").to_numpy())]))
    known = [name for name in MOMENT if name in events.column_names]
    whole = pa.concat_tables([events, lacking.select(known)], promote_options="default")
    return whole.take(pa.array(np.argsort(whole.column("event").to_numpy(), kind="stable")))


def _codes(update: Integers, micro_step: Integers, phase: Integers) -> Integers:
    """One number that sorts as training goes: a window's reset, its micro-steps with their edits, its update."""
    return (update << 17) | (micro_step << 2) | phase


def _count_alike(events: Integers, codes: Integers) -> bool:
    order = np.argsort(events, kind="stable")
    same = np.diff(events[order]) == 0
    return not (same & (np.diff(codes[order]) != 0)).any()


def _nth(codes: Integers) -> Integers:
    """How many equal codes came before each."""
    order = np.argsort(codes, kind="stable")
    ascending = codes[order]
    begins = np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))
    nth = np.empty(len(codes), dtype=np.int64)
    nth[order] = np.arange(len(codes)) - np.repeat(begins, np.diff(begins, append=len(codes)))
    return nth
