"""A disk whose n-th call fails, hangs or is the last thing that the process does."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, cast

from gradviz.store.files import Disk
from gradviz.store.flocks import release_lock

CODES = (errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE)
FOR_EVER = 10**9
CALLS = ("make_folder", "make_parents", "open_new", "sync", "sync_folder", "name_new", "replace", "remove",
         "read", "reading", "exists", "names", "lock", "is_locked")  # fmt: skip
CHANGES = {"make_folder", "make_parents", "open_new", "write", "name_new", "replace", "remove", "lock"}


class Way(Enum):
    """What happens at a call that is chosen."""

    FAIL = "fail"  # an OSError, and nothing was done; of a write, the first half was
    LATE = "late"  # an OSError although it was done, as from a file server whose answer was lost
    HANG = "hang"  # it waits until `released` is set
    DIE = "die"  # the process is gone before it
    DIE_LATE = "die late"  # and after it


class PowerCut(BaseException):
    """The process is gone: nothing in it runs any more."""


class FaultyDisk(Disk):
    """The real file system, but the calls from the `at`-th on do not do what they should, `times` times.

    Calls count from `arm` on. Of the writes of one stream the 1st, 2nd, 4th, 8th, ... count. Nothing is forced to
    the device: a test ends before the machine loses its power.
    """

    def __init__(self, at: int = FOR_EVER, way: Way = Way.FAIL, *, times: int = 1, code: int = 0) -> None:
        self.at, self.way, self.times = at, way, times
        self.code = code or CODES[at % len(CODES)]
        self.calls: list[str] = []
        self.changes: list[str] = []
        """What has been done to the disk: two processes that died after the same changes have left the same."""
        self.armed = False
        self.dead = False
        self.released = threading.Event()
        self.waiting = threading.Event()

    def arm(self) -> None:
        """From now on calls count."""
        self.armed = True

    def mend(self) -> None:
        """From now on every call works."""
        self.armed = False
        self.released.set()

    def around(self, label: str, call: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Do `call`, or what stands in its place."""
        if self.dead:
            raise PowerCut(label)
        if not self.armed:
            return call()
        self.calls.append(label)
        if not self.at <= len(self.calls) < self.at + self.times:
            return self._done(label, call)
        return self._instead(label, call, half)

    def _done(self, label: str, call: Callable[[], Any]) -> Any:
        outcome = call()
        if label.split()[0] in CHANGES:
            self.changes.append(label)
        return outcome

    def _instead(self, label: str, call: Callable[[], Any], half: Callable[[], Any] | None) -> Any:
        if self.way in (Way.DIE, Way.DIE_LATE):
            self.dead = True
        if self.way is Way.HANG:
            self.waiting.set()
            self.released.wait()
            return call()
        if self.way in (Way.LATE, Way.DIE_LATE):
            outcome = self._done(label, call)
            if isinstance(outcome, io.IOBase):
                outcome.close()
            if label.startswith("lock "):
                release_lock(outcome)
        elif half is not None:
            self._done("write half", half)
        if self.dead:
            raise PowerCut(label)
        raise OSError(self.code, f"injected at call {len(self.calls)}: {label}")

    def open_new(self, path: Path) -> BinaryIO:
        """Open a stream whose writes count, too."""
        return cast(BinaryIO, self.around(f"open_new {path.name}", lambda: FaultyStream(self, path)))

    def sync(self, stream: BinaryIO) -> None:
        """Count, and leave the device alone."""
        self.around("sync", stream.flush)

    def sync_folder(self, path: Path) -> None:
        """Count, and leave the device alone."""
        self.around(f"sync_folder {path.name}", lambda: None)


class FaultyStream(io.FileIO):
    """An unbuffered file: what was written is in the kernel's hands, as after kill -9."""

    def __init__(self, disk: FaultyDisk, path: Path) -> None:
        super().__init__(path, "w+")
        self._disk, self._writes = disk, 0

    def write(self, content: Any) -> int:
        """Write; a full disk takes the first half."""
        self._writes += 1
        whole = super().write
        if self._writes & (self._writes - 1) and not self._disk.dead:
            return int(self._disk._done("write", lambda: whole(content)))
        half = bytes(content)[: len(content) // 2]
        return int(self._disk.around("write", lambda: whole(content), lambda: whole(half)))


def _counted(name: str) -> Callable[..., Any]:
    real = getattr(Disk, name)

    def call(self: FaultyDisk, *given: Any, **options: Any) -> Any:
        label = f"{name} {getattr(given[0], 'name', '')}"
        return self.around(label, lambda: real(self, *given, **options))

    return call


for _name in CALLS:
    if _name not in vars(FaultyDisk):
        setattr(FaultyDisk, _name, _counted(_name))
