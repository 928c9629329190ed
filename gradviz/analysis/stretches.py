"""What a stretch of the events of an axis consists of: which are micro-steps, of which window, and the like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradviz.analysis.blocks import span
from gradviz.analysis.frames import Integers
from gradviz.analysis.windows import WindowAxis
from gradviz.schema import Phase


@dataclass(frozen=True)
class Places:
    """Events, ascending, and for each the entry that its numbers go to."""

    event: Integers
    entries: slice | Integers


@dataclass(frozen=True)
class Stretch:
    """A stretch of events, which count from its first one, and its `windows`, which entries count from the first of.

    micro: micro-steps; their entries are those of all micro-steps. starts: where in `micro` each window begins;
    at: which window that is. firsts, lasts: places in `micro` of the first and the last micro-step of a window.
    updates: several, where several optimizers step in one window. edits, before: edits and the events before
    them; their entries are those of all edits.
    """

    windows: slice
    micro: Places
    starts: Integers
    at: slice | Integers
    firsts: Integers
    lasts: Places
    resets: Places
    updates: list[Places]
    edits: Places
    before: Places


class Stretches:
    """The events of an axis by what they are. `windows` are the windows that have a micro-step."""

    def __init__(self, axis: WindowAxis) -> None:
        self._axis = axis
        micro = np.flatnonzero(axis.phase == Phase.MICRO_STEP)
        self.windows, self.starts = np.unique(axis.window[micro], return_index=True)
        place = np.full(len(axis.update), -1)
        place[self.windows] = np.arange(len(self.windows))
        self.place = place[axis.window]  # of each event: its window's place, -1 where that has no micro-step
        self.micro = micro
        self.edits = np.flatnonzero((axis.phase == Phase.EDIT) & (self.place >= 0))
        self._ends = np.append(self.starts[1:], len(micro))[: len(self.starts)] - 1
        self._resets = np.flatnonzero(axis.phase == Phase.RESET)
        self._updates = np.flatnonzero(axis.phase == Phase.UPDATE)
        self._last: tuple[slice, Stretch] | None = None

    def of(self, events: slice) -> Stretch:
        """The stretch of these events of the axis; of the same as before it is kept."""
        if self._last is None or self._last[0] != events:
            self._last = events, self._stretch(events)
        return self._last[1]

    def _stretch(self, events: slice) -> Stretch:
        window = self._axis.window
        first = int(window[events.start]) if events.stop > events.start else 0
        micro = _inside(self.micro, events)
        of_micro = window[self.micro[micro]] - first
        starts = np.flatnonzero(np.diff(of_micro, prepend=-1))
        lasts = self._ends[_inside(self.micro[self._ends], events)]
        resets = self._resets[_inside(self._resets, events)]
        return Stretch(
            windows=slice(first, int(window[events.stop - 1]) + 1 if events.stop > events.start else 0),
            micro=Places(self.micro[micro] - events.start, micro),
            starts=starts,
            at=span(of_micro[starts]),
            firsts=self.starts[_inside(self.micro[self.starts], events)] - micro.start,
            lasts=Places(lasts - micro.start, span(window[self.micro[lasts]] - first)),
            resets=Places(resets - events.start, span(window[resets] - first)),
            updates=self._rounds(events, first),
            edits=_edits(self.edits, events),
            before=_edits(self.edits - 1, events),
        )

    def _rounds(self, events: slice, first: int) -> list[Places]:
        """The first update of each window, then the second of those that have one, and so on."""
        updates = self._updates[_inside(self._updates, events)]
        rounds = []
        while len(updates):
            entry, at = np.unique(self._axis.window[updates] - first, return_index=True)
            rounds.append(Places(updates[at] - events.start, span(entry)))
            updates = np.delete(updates, at)
        return rounds


def _inside(ascending: Integers, events: slice) -> slice:
    """Which of these events lie in a stretch."""
    first, stop = np.searchsorted(ascending, (events.start, events.stop)).tolist()
    return slice(first, stop)


def _edits(ascending: Integers, events: slice) -> Places:
    entries = _inside(ascending, events)
    return Places(ascending[entries] - events.start, entries)
