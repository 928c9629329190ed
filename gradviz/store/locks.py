"""Who may write: a lock for each rank of a run for as long as its writer lives, one for a moment at the door."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from gradviz.errors import RunFolderError
from gradviz.store.files import Disk
from gradviz.store.flocks import lies_at, release_lock

__all__ = ["door", "is_locked", "lock_name", "release_lock", "take_lock"]

DOOR_SECONDS = 10.0  # longest wait for another process at the same door
_PAUSE = 0.005


def lock_name(rank: int) -> str:
    """Name of the lock of a rank: an empty file, locked for as long as the writer lives."""
    return f"lock-{rank}"


def take_lock(run: Path, rank: int, disk: Disk | None = None) -> int | None:
    """Lock a rank of a run until `release_lock` or the end of the process; None where locks do not work.

    Raises RunFolderError where another process holds it: it cannot be asked for in vain on the way here, and
    two writers of one rank would remove each other's parts.
    """
    try:
        return (disk or Disk()).lock(run / lock_name(rank))
    except BlockingIOError as error:
        raise RunFolderError(f"Another process is recording rank {rank} of {run}.") from error


def is_locked(run: Path, rank: int = 0, disk: Disk | None = None) -> bool | None:
    """Whether a writer holds the lock; None where it cannot be asked. Writes nothing."""
    try:
        return (disk or Disk()).is_locked(run / lock_name(rank))
    except OSError:
        return None


@contextlib.contextmanager
def door(path: Path, disk: Disk) -> Iterator[None]:
    """Let one process at a time in; `path` is a file that exists only while somebody is inside or waits.

    Where locks do not work, or somebody stays inside for ten seconds, it stands open.
    """
    descriptor = _enter(path, disk, time.monotonic() + DOOR_SECONDS)
    try:
        yield
    finally:
        try:
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    disk.remove(path)
        finally:
            release_lock(descriptor)


def _enter(path: Path, disk: Disk, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        try:
            descriptor = disk.lock(path)
        except BlockingIOError:
            time.sleep(_PAUSE)
            continue
        if descriptor is None or lies_at(descriptor, path):
            return descriptor
        release_lock(descriptor)  # the one who left took the file away: there is another one now
    return None
