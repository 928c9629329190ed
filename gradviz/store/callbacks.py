"""What others do on the writer's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradviz.schema import EventRecord
from gradviz.store.statistics import Floats


class Callbacks(NamedTuple):
    """Called on the writer's thread; what they raise is noted. None of them may hold the writer strongly."""

    on_tick: Callable[[], None] | None = None
    """Before each flush."""
    on_batch: Callable[[Sequence[EventRecord], Sequence[Floats]], None] | None = None
    """After events were written: they, and their sums."""
    on_end: Callable[[], None] | None = None
    """After the last event was written."""
