"""How a run stands over all of its ranks, and what that is concluded from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradviz.schema import RunState
from gradviz.store.heartbeat import Heartbeat, read_heartbeat, state_of
from gradviz.store.locks import is_locked

# one rank that still lives is a live run; else the worst end of a rank is the end of the run
_FIRST = (
    RunState.LIVE, RunState.CRASHED, RunState.DAMAGED, RunState.INTERRUPTED, RunState.STOPPED,
    RunState.SUPERSEDED, RunState.FINISHED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """State and reason of the rank that decides, events dropped by all, the furthest numbers of any.

    `heartbeat` is the last sign of life of that `rank`; None where it left none that can be read.
    """

    state: RunState
    reason: str | None
    dropped: int
    events: int | None
    last_update: int | None
    last_event_at: float | None
    rank: int = 0
    heartbeat: Heartbeat | None = None


def standing_of(run: Path, ranks: Sequence[int]) -> Standing:
    """Ask the heartbeat and the lock of each rank."""
    heartbeats = [(rank, read_heartbeat(run, rank)) for rank in ranks]
    states = [(state_of(run, heartbeat, rank), rank, heartbeat) for rank, heartbeat in heartbeats]
    state, rank, decides = min(states, key=lambda found: _FIRST.index(found[0]))
    known: list[Heartbeat] = [heartbeat for _, heartbeat in heartbeats if heartbeat is not None]
    return Standing(
        state,
        None if decides is None else decides.reason,
        sum(heartbeat.dropped for heartbeat in known),
        max((heartbeat.events for heartbeat in known), default=None),
        max((one.last_update for one in known if one.last_update is not None), default=None),
        max((one.last_event_at for one in known if one.last_event_at is not None), default=None),
        rank,
        decides,
    )


def was_let_go(run: Path, rank: int) -> bool:
    """Whether the lock of a rank is there and nobody holds it: the kernel freed it when its writer died."""
    return is_locked(run, rank) is False
