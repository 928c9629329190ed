"""One run folder for every rank of a launch, found without a word between them.

The ranks share what their launcher told them: it becomes the key of the launch. The first one that
comes makes the folder and writes the key into `run.json`; the others find it there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradviz.errors import GradvizError
from gradviz.schema import Layer, RunState
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.heartbeat import file_name as heartbeat_name
from gradviz.store.heartbeat import read_heartbeat, state_of
from gradviz.store.names import folder_name
from gradviz.store.rank_files import RankFile, Segment, ranks_of, read_rank_file

NAMESAKES = 100  # folders of one name and key that one second may bring
SAME_LAUNCHER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Launch:
    """The place of this process among those that train together.

    `key` is the same on each of them and is empty where one process trains alone; `restart` counts how
    often the launcher has started them anew; `shards` are the elements held here, by layer id, of sharded
    layers only.
    """

    rank: int = 0
    world_size: int = 1
    restart: int = 0
    key: str = ""
    shards: Mapping[int, int] = field(default_factory=dict)

    @staticmethod
    def key_of(*facts: object) -> str:
        """A key made of what all processes of a launch know, and no others."""
        return hashlib.sha256("\0".join(map(str, facts)).encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def endings(self) -> Iterator[str]:
        """The four hex at the end of a folder's name: of the launch, or at random."""
        for number in range(NAMESAKES):
            yield self.key_of(self.key, number)[:4] if self.key else secrets.token_hex(2)

    def segment(self) -> Segment:
        """A segment that begins now, with the numbers of a new run."""
        return Segment(started=time.time(), restart=self.restart, world_size=self.world_size, launch=self.key,
                       launcher=_launcher(), shards=dict(self.shards))  # fmt: skip


def _launcher() -> str:
    """Names the process that started this one: the ranks of one machine share it, a rerun has another."""
    return f"{socket.gethostname()}:{os.getppid()}"[:256]


@dataclass(frozen=True, slots=True)
class Found:
    """What is there for a rank: the folder to join, or the folder of ranks that have other layers."""

    folder: Path | None = None
    others: Path | None = None


def find_folder(parent: Path, name: str, launch: Launch, layers: Sequence[Layer], disk: Disk) -> Found:
    """Look for the newest folder of this launch whose table of layers is this rank's own."""
    others = None
    for run in _candidates(parent, name, launch, disk):
        try:
            manifest = manifests.read_manifest(run, disk)
            table = manifests.layers_of(manifest, run)
        except GradvizError:
            continue
        if manifest.get("launch") != launch.key:
            continue
        if _is_same_table(table, layers):
            return Found(run if _may_join(run, launch, disk) else None, None)
        others = others or (run if _is_live(run, disk) else None)
    return Found(None, others)


def _candidates(parent: Path, name: str, launch: Launch, disk: Disk) -> list[Path]:
    """Folders that a launch with this key may have made, newest first: by second, then as the endings go."""
    place = {ending: number for number, ending in enumerate(launch.endings())}
    pattern = re.compile(rf"(\d{{8}}-\d{{6}})-{re.escape(folder_name(name))}-([0-9a-f]{{4}})", re.ASCII)
    found = [match for match in map(pattern.fullmatch, disk.names(parent)) if match and match[2] in place]
    found.sort(key=lambda match: (match[1], place[match[2]]), reverse=True)
    return [parent / match[0] for match in found]


def _is_same_table(table: Sequence[Layer], layers: Sequence[Layer]) -> bool:
    """Whether the first layers of a table (it only grows) are these."""
    mine = manifests.tidy_layers(layers)
    there = table[: len(mine)]
    return [(one.layer_id, one.name, one.shape) for one in there] == [
        (one.layer_id, one.name, one.shape) for one in mine
    ]


def _may_join(run: Path, launch: Launch, disk: Disk) -> bool:
    """Whether a folder of this launch's key is of this launch, and not of an earlier one with the same key.

    A place that is taken may be taken again only by a restart. A place that is free: the others must be
    there still, or have been started just now by the process that started this one.
    """
    mine = read_rank_file(run, launch.rank, disk)
    if mine is not None and mine.segments:
        return launch.restart > mine.segments[-1].restart
    if disk.exists(run / heartbeat_name(launch.rank)):
        return False
    own = launch.segment()
    files = [read_rank_file(run, rank, disk) for rank in ranks_of(run, disk)]
    just_now = any(file is not None and _started_together(file, own) for file in files)
    return just_now or launch.restart > 0 or _is_live(run, disk)


def _started_together(file: RankFile, own: Segment) -> bool:
    return any(
        one.launcher == own.launcher and abs(own.started - one.started) < SAME_LAUNCHER_SECONDS
        for one in file.segments
    )


def _is_live(run: Path, disk: Disk) -> bool:
    return any(
        state_of(run, read_heartbeat(run, rank, disk), rank) is RunState.LIVE for rank in ranks_of(run, disk)
    )
