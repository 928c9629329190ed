"""Locks of the kernel on empty files: who holds one holds it until it is released or the process ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

fcntl: Any = None  # Windows has no flock: the age of the heartbeat decides there
with contextlib.suppress(ImportError):
    import fcntl

_held: set[int] = set()


def _release_in_child() -> None:
    """A forked child shares the lock: it must not keep it when the parent is killed."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)


def lock(path: Path) -> int | None:
    """Lock a file, which is made when missing; None where locks do not work.

    Raises BlockingIOError where somebody holds it, another OSError where the file cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
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


def is_locked(path: Path) -> bool | None:
    """Whether somebody holds the lock; None where it cannot be asked. Writes nothing.

    Raises OSError where the file cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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


def lies_at(descriptor: int, path: Path) -> bool:
    """Whether the file that was opened still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
