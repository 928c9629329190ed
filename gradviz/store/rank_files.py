"""`rank-<rank>.json`: which launch a rank belongs to, where its segments begin, what it holds of each layer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gradviz.store.files import Disk
from gradviz.store.sealed import KEY, seal, unseal, whole

SIZE_LIMIT = 64 * 2**20
SEGMENT_LIMIT = 10_000
RESERVED = ("rank", "world_size", "segments", KEY)
_OF_A_RANK = re.compile(r"(?:heartbeat|rank)-(\d{1,9})\.json|rank=(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """One process's stretch of a run: where its numbers begin, and what it holds of each layer.

    `started` is in seconds since the epoch; `launch` names the launch and `launcher` the process that
    started this one; `shards` are the elements that this rank holds, by layer id, of sharded layers only.
    """

    first_event: int = 0
    first_update: int = 0
    started: float = 0.0
    restart: int = 0
    world_size: int = 1
    launch: str = ""
    launcher: str = ""
    shards: Mapping[int, int] = field(default_factory=dict)

    def is_of(self, other: Segment) -> bool:
        """Whether both are of the same attempt of the same launch."""
        return bool(self.launch) and (self.launch, self.restart) == (other.launch, other.restart)


@dataclass(frozen=True, slots=True)
class RankFile:
    """What a rank says about itself; `facts` are those that are not the same on every rank."""

    rank: int
    segments: tuple[Segment, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Bytes of the file."""
        world_size = self.segments[-1].world_size if self.segments else 1
        head = {"rank": self.rank, "world_size": world_size}
        segments = [asdict(segment) for segment in self.segments]
        content = json.dumps({**head, "segments": segments, **self.facts}, ensure_ascii=False)
        return seal(content.encode("utf-8", "backslashreplace"))


def file_name(rank: int) -> str:
    """Name of the file of a rank."""
    return f"rank-{rank}.json"


def read_rank_file(run: Path, rank: int, disk: Disk | None = None) -> RankFile | None:
    """Return what a rank says about itself; None where there is no such file or it cannot be understood."""
    try:
        return known_rank_file(run, rank, disk or Disk())
    except OSError:
        return None


def known_rank_file(run: Path, rank: int, disk: Disk) -> RankFile | None:
    """As `read_rank_file`, but OSError where the file may be there: who rewrites it must know what it holds."""
    try:
        fields = json.loads(unseal(disk.read(run / file_name(rank), SIZE_LIMIT)))
        segments = tuple(_segment(row) for row in fields["segments"][:SEGMENT_LIMIT])
        facts = {name: fact for name, fact in fields.items() if name not in RESERVED}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    return RankFile(rank, segments, facts)


def _segment(row: Mapping[str, Any]) -> Segment:
    return Segment(
        first_event=whole(row["first_event"]),
        first_update=whole(row["first_update"]),
        started=float(row["started"]),
        restart=whole(row.get("restart", 0)),
        world_size=whole(row.get("world_size", 1)),
        launch=str(row.get("launch", "")),
        launcher=str(row.get("launcher", "")),
        shards={whole(layer_id): whole(numel) for layer_id, numel in row.get("shards", {}).items()},
    )


def ranks_named(names: Iterable[str]) -> set[int]:
    """Ranks that the names in a run folder, or in a folder of parts, tell of."""
    return {int(found[1] or found[2]) for name in names if (found := _OF_A_RANK.fullmatch(name))}


def ranks_of(run: Path, disk: Disk | None = None) -> list[int]:
    """Ranks that recorded into a run, ascending; rank 0 where nothing tells."""
    disk = disk or Disk()
    return sorted(ranks_named(disk.names(run)) | ranks_named(disk.names(run / "gradients"))) or [0]
