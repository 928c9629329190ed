"""Numbers the events and hands them to the writer."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from gradviz.recording.moments import Moment, Sums, only
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.tally import Counted, counts_of
from gradviz.schema import EventRecord, Phase, Scalar
from gradviz.store.writer import RunWriter

Place = tuple[NDArray[np.int32], NDArray[np.int64]]


class Events:
    """One after the other, each with the layers that it tells of."""

    def __init__(self, watched: WatchedParameters, writer: RunWriter) -> None:
        self.slots: list[int] = []
        """Those recorded: trainable and hooked."""
        self._watched, self._writer = watched, writer
        self._began, self._next = writer.began, writer.first_event
        self._rows: Place = np.zeros(0, np.int32), np.zeros(0, np.int64)  # ids and numels of `slots`

    def add_slots(self, slots: list[int]) -> None:
        """Record these, too, from now on."""
        self.slots = sorted([*self.slots, *slots])
        ids = np.array(self.slots, dtype=np.int32)
        self._rows = ids, self._watched.numels[ids]

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def emit(self, phase: Phase, at: Moment, sums: Sums, scalars: dict[str, Scalar], *,
             slots: list[int] | None = None, seconds: float | None = None,
             counted: Counted | None = None) -> None:  # fmt: skip
        """An event of all slots, or of these; now, or when it was `seconds`."""
        ids, numels = self._rows if slots is None else self._rows_of(slots)
        rows = sums if len(ids) == len(self._watched) else only(sums, ids)
        counts = None if counted is None else counts_of(counted, ids.tolist())
        when = time.monotonic() - self._began if seconds is None else seconds
        place = self._next, at.update, at.micro_step, phase, when
        self._writer.put(EventRecord(*place, ids, numels, rows, scalars, counts))
        self._next += 1

    def _rows_of(self, slots: list[int]) -> Place:
        if slots == self.slots:
            return self._rows
        ids = np.array(sorted(set(slots) & set(self.slots)), dtype=np.int32)
        return ids, self._watched.numels[ids]
