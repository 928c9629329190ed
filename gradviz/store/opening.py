"""Opening a place to write: a new run, a run that another rank has begun, or one that goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gradviz.errors import RunFolderError
from gradviz.schema import Layer
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.launches import Found, Launch, find_folder
from gradviz.store.locks import door, is_locked, release_lock, take_lock
from gradviz.store.names import folder_name
from gradviz.store.parts import part_folder
from gradviz.store.places import DEFAULT_NAME, default_place
from gradviz.store.rank_files import RankFile, Segment, known_rank_file
from gradviz.store.rank_folder import RankFolder
from gradviz.store.resuming import Numbering, next_segment, past_of

PART_KINDS = ("events", "gradients", "overview")
DYING_SECONDS = 5.0  # a launcher kills the processes of an attempt before it starts the next one


@dataclass(frozen=True, slots=True)
class Opened:
    """A place to write. `began` is the time (monotonic) at which `seconds` of the run are 0."""

    folder: RankFolder
    lock: int | None
    began: float
    remark: str | None = None


def open_new(
    parent: Path, name: str, layers: Sequence[Layer], launch: Launch, facts: Mapping[str, object],
    *, disk: Disk, durable: bool,
) -> Opened:  # fmt: skip
    """Make a run folder; of a launch, only where no other rank has made it yet."""
    _make_parent(disk, parent)
    manifest = manifests.compose(name, layers, **facts, **({"launch": launch.key} if launch.key else {}))
    if not launch.key:
        return _begin(_make_run_folder(disk, parent, name, launch), manifest, layers, launch, disk, durable)
    with door(parent / f".launch-{launch.key}.lock", disk):
        found = find_folder(parent, name, launch, layers, disk)
        if found.folder is not None and _is_free(found.folder, launch.rank, disk):
            return go_on(found.folder, layers, launch, disk=disk, durable=durable)
        run = _make_run_folder(disk, parent, name, launch)
        opened = _begin(run, manifest, layers, launch, disk, durable)
    return replace(opened, remark=_remark(found, launch.rank, run))


def _remark(found: Found, rank: int, run: Path) -> str | None:
    """Why a rank of a launch does not record where the others do."""
    if found.folder is not None:
        return f"Another process still records rank {rank} of {found.folder.name}: this one records into {run.name}."
    if found.others is not None:
        where = f"the ranks that record into {found.others.name}"
        return f"Rank {rank} has other layers than {where}: it records into {run.name}."
    return None


def go_on(run: Path, layers: Sequence[Layer], launch: Launch, *, disk: Disk, durable: bool) -> Opened:
    """Add a segment of this rank to a run that is there; raises RunFolderError where it cannot be added."""
    manifest = manifests.read_manifest(run, disk)
    table = manifests.layers_of(manifest, run)
    numbering = Numbering.of(table, layers, run)
    if is_locked(run, launch.rank, disk):
        raise RunFolderError(f"Cannot resume {run}: another process is recording rank {launch.rank} of it.")
    _make_part_folders(disk, run, launch.rank)
    lock = take_lock(run, launch.rank, disk)
    try:
        own = _own_file(run, manifest, launch.rank, disk)
        past = past_of(run, launch.rank, disk)
        segment = next_segment(run, own, _with_ids(launch.segment(), numbering), disk)
        folder = RankFolder(run, launch.rank, manifest, table, disk=disk, durable=durable)
        folder.go_on(past, replace(own, segments=(*own.segments, segment)), numbering)
    except BaseException:
        release_lock(lock)
        raise
    seconds = max(time.time() - manifests.created_of(manifest).timestamp(), past.last_seconds)
    return Opened(folder, lock, time.monotonic() - seconds)


def _own_file(run: Path, manifest: manifests.Manifest, rank: int, disk: Disk) -> RankFile:
    """What the rank has said about itself; runs of the first version have one rank and say nothing."""
    known = known_rank_file(run, rank, disk)
    if known is not None:
        return known
    has_parts = bool(disk.names(part_folder(run, "gradients", rank)))
    began = Segment(started=manifests.created_of(manifest).timestamp())
    return RankFile(rank, (began,) if has_parts else ())


def _with_ids(segment: Segment, numbering: Numbering) -> Segment:
    return replace(segment, shards={numbering.ids.get(of, of): n for of, n in segment.shards.items()})


def _is_free(run: Path, rank: int, disk: Disk) -> bool:
    """Whether nobody writes this rank; the process of the attempt before may take a moment to die."""
    deadline = time.monotonic() + DYING_SECONDS
    while is_locked(run, rank, disk):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _begin(run: Path, manifest: manifests.Manifest, layers: Sequence[Layer], launch: Launch,
           disk: Disk, durable: bool) -> Opened:  # fmt: skip
    """Make the folders of the parts, lock the rank, write `run.json` and the first heartbeat."""
    began = time.monotonic()
    folder = RankFolder(run, launch.rank, manifest, layers, disk=disk, durable=durable)
    folder.record = RankFile(launch.rank, (launch.segment(),))
    _make_part_folders(disk, run, launch.rank)
    lock = take_lock(run, launch.rank, disk)
    try:
        folder.write_rank_file()
        disk.create(run / manifests.FILE_NAME, manifests.encode(manifest))
        folder.write_heartbeat()
    except BaseException:
        release_lock(lock)
        raise
    return Opened(folder, lock, began)


def _make_part_folders(disk: Disk, run: Path, rank: int) -> None:
    for kind in PART_KINDS:
        folder = part_folder(run, kind, rank)
        if not disk.exists(folder):
            disk.make_folder(folder, parents=True)


def _make_parent(disk: Disk, parent: Path) -> None:
    if disk.exists(parent):
        return
    disk.make_parents(parent)
    if parent.name == DEFAULT_NAME or parent == default_place():
        with contextlib.suppress(OSError):  # another process was faster, or the run will say what is wrong
            disk.create(parent / ".gitignore", b"*\n")


def _make_run_folder(disk: Disk, parent: Path, name: str, launch: Launch) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    run = parent
    for ending in launch.endings():
        run = parent / f"{stamp}-{folder_name(name)}-{ending}"
        try:
            disk.make_folder(run)
        except FileExistsError:
            if not parent.is_dir():
                raise
            continue
        return run
    raise FileExistsError(f"folders like {run.name} exist already")
