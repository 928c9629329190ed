"""Locks of the kernel: one for each rank of a run for as long as its writer lives, one for a moment at the door."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

fcntl: Any = None  # Windows has no flock: the age of the heartbeat decides there
with contextlib.suppress(ImportError):
    import fcntl

DOOR_SECONDS = 10.0  # longest wait for another process at the same door
_PAUSE = 0.005
_held: set[int] = set()


def _release_in_child() -> None:
    """A forked child shares the lock: it must not keep it when the parent is killed."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)


def lock_name(rank: int) -> str:
    """Name of the lock of a rank: an empty file, locked for as long as the writer lives."""
    return f"lock-{rank}"


def take_lock(run: Path, rank: int) -> int | None:
    """Lock a rank of a run until `release_lock` or the end of the process; None where locks do not work."""
    if fcntl is None:
        return None
    descriptor = os.open(run / lock_name(rank), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    _held.add(descriptor)
    return descriptor


def release_lock(descriptor: int | None) -> None:
    """Give a lock back."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def is_locked(run: Path, rank: int = 0) -> bool | None:
    """Whether a writer holds the lock; None where it cannot be asked. Writes nothing."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(run / lock_name(rank), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def door(path: Path) -> Iterator[None]:
    """Let one process at a time in; `path` is a file that exists only while somebody is inside or waits.

    Where locks do not work, or somebody stays inside for ten seconds, it stands open.
    """
    descriptor = _enter(path, time.monotonic() + DOOR_SECONDS)
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            release_lock(descriptor)


def _enter(path: Path, deadline: float) -> int | None:
    while fcntl is not None and time.monotonic() < deadline:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            time.sleep(_PAUSE)
            continue
        except OSError:
            os.close(descriptor)
            return None
        if _lies_at(descriptor, path):
            _held.add(descriptor)
            return descriptor
        os.close(descriptor)  # the one who left took the file away: there is another one now
    return None


def _lies_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
