"""Disks that fail or die at the n-th call, in SQLite's manner."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from gradviz.schema import EventRecord, Layer
from gradviz.store.files import Disk
from tests.store.made_runs import merge, new_folder, write_batch

WATCHED = ("make_folder", "create", "open_new", "write", "sync", "sync_folder", "replace", "remove")


class PowerCut(BaseException):
    """The process is gone: nothing in it runs any more."""


class WatchedDisk(Disk):
    """Calls `before` and `after` around each call that changes the disk, and each stream's first write."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.streams: list[WatchedStream] = []

    def before(self, call: str) -> None:
        """Called before a call; counts it."""
        self.calls.append(call)

    def after(self, call: str) -> None:
        """Called after a call."""

    def open_new(self, path: Path) -> BinaryIO:
        """Open a stream whose writes are watched, too."""
        self.before(f"open_new {path.name}")
        stream = WatchedStream(self, path)
        self.streams.append(stream)
        self.after(f"open_new {path.name}")
        return cast(BinaryIO, stream)


class WatchedStream(io.FileIO):
    """An unbuffered file: what is written is in the kernel's hands, as after kill -9."""

    def __init__(self, disk: WatchedDisk, path: Path) -> None:
        super().__init__(path, "w+")
        self._disk = disk
        self._untouched = True

    def write(self, content: Any) -> int:
        """Write; only the first write of a stream is counted, the others die with it."""
        if self._untouched:
            self._untouched = False
            self._disk.before("stream.write")
            written = super().write(content)
            self._disk.after("stream.write")
            return written
        if isinstance(self._disk, DyingDisk) and self._disk.dead:
            raise PowerCut
        return super().write(content)


def _watched(name: str) -> Callable[..., Any]:
    real = getattr(Disk, name)

    def call(self: WatchedDisk, *arguments: Any, **options: Any) -> Any:
        label = f"{name} {getattr(arguments[0], 'name', '')}"
        self.before(label)
        outcome = real(self, *arguments, **options)
        self.after(label)
        return outcome

    return call


for _name in set(WATCHED) - {"open_new"}:
    setattr(WatchedDisk, _name, _watched(_name))


class DyingDisk(WatchedDisk):
    """Dies before or after the n-th call; afterwards no call does anything."""

    def __init__(self, at: int, *, late: bool) -> None:
        super().__init__()
        self._at, self._late = at, late
        self.dead = False

    def before(self, call: str) -> None:
        super().before(call)
        if self.dead or (len(self.calls) == self._at and not self._late):
            self.dead = True
            raise PowerCut(call)

    def after(self, call: str) -> None:
        if len(self.calls) == self._at and self._late:
            self.dead = True
            raise PowerCut(call)


class FailingDisk(WatchedDisk):
    """Fails with an OSError from the n-th call on, `times` times."""

    def __init__(self, at: int = 10**9, *, times: int = 1, code: int = errno.ENOSPC) -> None:
        super().__init__()
        self._at, self._times, self._code = at, times, code

    def fail_after(self, calls: int) -> None:
        """Let so many more calls succeed."""
        self._at = len(self.calls) + calls + 1

    def before(self, call: str) -> None:
        super().before(call)
        if self._at <= len(self.calls) < self._at + self._times:
            raise OSError(self._code, f"injected at call {len(self.calls)}: {call}")


def flush_until_death(
    parent: Path, layers: Sequence[Layer], batches: Sequence[Sequence[EventRecord]], disk: WatchedDisk
) -> list[EventRecord]:
    """Flush each batch and merge, until the disk dies; returns the events that were acknowledged."""
    acknowledged: list[EventRecord] = []
    folder = new_folder(parent, layers, disk=disk)
    folder.durable = True
    try:
        for batch in batches:
            write_batch(folder, batch)
            acknowledged.extend(batch)
            merge(folder)
            folder.write_heartbeat()
        merge(folder, final=True)
    except PowerCut:
        for stream in disk.streams:
            stream.close()
    return acknowledged
