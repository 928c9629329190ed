"""Which of the small parts at the end of a run are merged, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.store.parts import EventRange

FAN_IN = 64
SEGMENT_EVENTS = 4_096
SEGMENT_ROWS = 2**22  # reached first with more than 1,024 layers


@dataclass(frozen=True, slots=True)
class TailPart:
    """A part that is not in a segment yet: its range, and how many events and rows it has."""

    events: EventRange
    count: int
    rows: int

    @property
    def size_class(self) -> int:
        """0 for up to 63 events, 1 for up to 4,095: then a segment is full."""
        return (self.count.bit_length() - 1) // 6


@dataclass(frozen=True, slots=True)
class MergePlan:
    """Parts to merge, and whether the merged one is a segment, which is never merged again."""

    parts: tuple[TailPart, ...]
    seals: bool

    @property
    def events(self) -> EventRange:
        """Range of the merged part."""
        return EventRange(self.parts[0].events.first, self.parts[-1].events.last)


def plan_merge(tail: Sequence[TailPart], *, final: bool = False) -> MergePlan | None:
    """Decide what to merge now: all when a segment is full or the run ends, else 64 parts of a size."""
    full = (
        sum(part.count for part in tail) >= SEGMENT_EVENTS or sum(part.rows for part in tail) >= SEGMENT_ROWS
    )
    if full or (final and tail):
        return MergePlan(tuple(tail), seals=True)
    for size_class in range(2):
        start = len(tail)
        while start and tail[start - 1].size_class <= size_class:
            start -= 1
        if sum(part.size_class == size_class for part in tail[start:]) >= FAN_IN:
            return MergePlan(tuple(tail[start:]), seals=False)
    return None
