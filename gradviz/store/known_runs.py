"""What a listing has read of runs that have ended, so that the next listing asks only whether they changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from gradviz.store import heartbeat
from gradviz.store.manifest import FILE_NAME
from gradviz.store.rank_files import ranks_named

MOST = 100_000  # runs; a summary takes about a kilobyte
RACY_SECONDS = 2.0  # a file changed so lately may change again and keep its time: clocks of disks are coarse

Summary = TypeVar("Summary")
Stamp = tuple[tuple[int, int, int], ...]


class KnownRuns(Generic[Summary]):
    """Summaries by folder, each with the stamp of what it was read from; give it to `list_runs` again and again.

    A stamp is number, size and time of the run's folder, its `run.json` and its heartbeats: a run that is
    resumed, renamed or completed by another rank gets a new one.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Stamp, Sequence[str], Summary]] = {}

    def unchanged(self, folder: str) -> Summary | None:
        """The summary of a run as it still is; None where it has to be read."""
        kept = self._kept.get(folder)
        return kept[2] if kept is not None and _stamp(folder, kept[1]) == kept[0] else None

    def remember(self, folder: str, names: Sequence[str], summary: Summary, stamp: Stamp | None) -> None:
        """Keep what was read; `stamp` is of before it was read."""
        if stamp is not None and time.time() - max(time_ns for _, _, time_ns in stamp) / 1e9 > RACY_SECONDS:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[folder] = stamp, _files(names), summary

    def stamp(self, folder: str, names: Sequence[str]) -> Stamp | None:
        """To be taken before the run is read; None where there is nothing to tell a change by."""
        return _stamp(folder, _files(names)) if ranks_named(names) else None


def _files(names: Sequence[str]) -> list[str]:
    beats = {heartbeat.file_name(rank) for rank in ranks_named(names)}
    return [FILE_NAME, *sorted(beats.intersection(names))]


def _stamp(folder: str, files: Sequence[str]) -> Stamp | None:
    try:
        found = [os.stat(folder), *(os.stat(f"{folder}/{name}") for name in files)]  # noqa: PTH116 - 3x faster
    except OSError:
        return None
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)
