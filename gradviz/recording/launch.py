"""Where this process stands among those that train together: asked of its launcher, never of the others."""

from __future__ import annotations

import os
from collections import Counter

from torch import distributed

from gradviz.recording.parameters import WatchedParameters
from gradviz.store.launches import Launch

_watched: Counter[str] = Counter()


def this_launch(watched: WatchedParameters, name: str) -> Launch:
    """The launch of this process, for its next run called `name`; of one alone: `Launch()`.

    Each process counts its runs of a name, and the n-th ones belong together.
    """
    rank, world_size = _place()
    identity = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if world_size == 1 and not identity:
        return Launch()
    _watched[name] += 1
    if identity in ("", "none"):  # what a static launch calls itself
        facts = [os.environ.get(key, "") for key in ("MASTER_ADDR", "MASTER_PORT")] + [str(world_size)]
    else:
        facts = [identity]  # outlives a restart with another port or another number of processes
    restart = _number("TORCHELASTIC_RESTART_COUNT", 0)
    return Launch(rank, world_size, restart, Launch.key_of(*facts, name, _watched[name]), watched.held())


def _place() -> tuple[int, int]:
    """Rank and number of processes: of the process group, or as the launcher has set them."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    rank, world_size = _number("RANK", 0), _number("WORLD_SIZE", 1)
    return (rank, world_size) if 0 <= rank < world_size else (0, 1)


def _number(variable: str, otherwise: int) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdecimal() else otherwise
