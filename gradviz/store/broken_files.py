"""Small files of a run that are there and cannot be understood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gradviz.store import heartbeat as heartbeats
from gradviz.store import rank_files
from gradviz.store.part_set import DamagedPart


def broken_files(run: Path, ranks: Iterable[int]) -> Iterator[DamagedPart]:
    """Heartbeats and files of ranks that say nothing although they are there; no event is lost with them."""
    for rank in ranks:
        for name, understood in (
            (heartbeats.file_name(rank), heartbeats.read_heartbeat),
            (rank_files.file_name(rank), rank_files.read_rank_file),
        ):
            if (run / name).exists() and understood(run, rank) is None:
                reason = f"{name}: it cannot be read or understood, or its checksum is wrong"
                yield DamagedPart(run / name, reason, 0, -1)
