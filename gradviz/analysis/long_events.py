"""A few columns of all events of a run, read stretch by stretch: all columns at once take hundreds of megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

EVENTS_AT_ONCE = 2**16  # of which all columns are in memory
ANY = 2**31 - 1  # no update is beyond it


def long_events(run: Run, columns: Sequence[str]) -> pd.DataFrame:
    """`Run.events()` with `columns` alone; those that the run does not have are left out."""
    import pandas as pd

    frames = []
    for updates in _stretches(run):
        rows = run.events(updates=updates)
        frames.append(rows[[name for name in columns if name in rows]].copy())
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _stretches(run: Run) -> Iterator[tuple[int, int] | None]:
    """Ranges of updates with about `EVENTS_AT_ONCE` events each; None for all of a shorter run."""
    events, updates = (run.last_event or 0) + 1, run.updates
    if updates is None or events <= EVENTS_AT_ONCE:
        yield None
        return
    first, last = updates
    step = max(1, (last - first + 1) * EVENTS_AT_ONCE // events)
    begins = [-ANY, *range(first + step, last + 1, step)]  # there may be events whose rows are damaged
    yield from zip(begins, [begin - 1 for begin in begins[1:]] + [ANY], strict=True)
