"""What a run says about its ranks: which there are, where each began, how they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pandas as pd

from gradviz.errors import RunFormatError, RunNotFoundError
from gradviz.schema import RunState
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.mirror import Copy
from gradviz.store.parts import part_folder
from gradviz.store.rank_files import ranks_of, read_rank_file
from gradviz.store.segments import segment_frame
from gradviz.store.standing import Standing, standing_of

RANK_LIMIT = 2**16  # more would be a damaged file
RETRIES = 20  # a merge removes parts once in thousands of events; twice in a row is luck, twenty times is not
T = TypeVar("T")


class RankedRun:
    """A run folder and its ranks; the half of `Run` that reads no rows."""

    def __init__(self, path: Path, copy: Copy | None = None) -> None:
        self.path = path
        self.copy = copy
        """What keeps `path` up to date, where it is a copy of a run behind a URL."""
        self.rank: int | None = None
        """The rank that queries answer for; None: all together."""

    @property
    def ranks(self) -> list[int]:
        """The ranks that recorded this run, ascending."""
        return ranks_of(self.path)

    @property
    def missing_ranks(self) -> list[int]:
        """Ranks of the launch that recorded nothing into this run, or somewhere else."""
        files = [read_rank_file(self.path, rank) for rank in self.ranks]
        sizes = [segment.world_size for file in files if file is not None for segment in file.segments]
        return sorted(set(range(min(max(sizes, default=1), RANK_LIMIT))).difference(self.ranks))

    @property
    def has_distributions(self) -> bool:
        """Whether any distributions were written: `Run.distributions` may then have rows."""
        return any(
            Disk().names(part_folder(self.path, "distributions", rank)) for rank in self._shown_ranks()
        )

    @property
    def segments(self) -> pd.DataFrame:
        """Where each rank began, and began again: `rank, first_event, first_update, started, restart`."""
        return segment_frame(
            self.path, self._shown_ranks(), manifests.created_of(manifests.read_manifest(self.path))
        )

    def _refresh(self) -> None:
        if self.copy is not None:
            self.copy.refresh()

    def _shown_ranks(self) -> list[int]:
        self._refresh()
        return self.ranks if self.rank is None else [self.rank]

    @property
    def state(self) -> RunState:
        """How the run stands now: live while any rank is, else as the worst ended."""
        return self._standing().state

    @property
    def reason(self) -> str | None:
        """Why the run ended as it did: the type of the exception of a crashed one; None where nothing was said."""
        return self._standing().reason

    @property
    def dropped(self) -> int:
        """Events that the writers dropped and counted."""
        return self._standing().dropped

    def _standing(self) -> Standing:
        return standing_of(self.path, self._shown_ranks())

    def _retry(self, query: Callable[[], T]) -> T:
        """Run a query; when a merge removed a part under it, look again."""
        for _ in range(RETRIES):
            try:
                return query()
            except FileNotFoundError:
                if manifests.stamp(self.path) is None:
                    raise RunNotFoundError(
                        f"The run at {self.path} is gone: its folder was removed."
                    ) from None
        raise RunFormatError(f"The parts of {self.path} change faster than they can be read.")
