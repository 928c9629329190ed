"""Every file-system call of the writer, in one small place.

The writer is given a `Disk`; a test gives it one that fails at the n-th call. Readers use the same
class for what they need, and call none of its writing methods.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from gradviz.store import flocks

T = TypeVar("T")
NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # a pipe in a run folder must not hold the reader up
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


class Disk:
    """The real file system."""

    def make_folder(self, path: Path, *, parents: bool = False) -> None:
        """Create one folder; it must not exist yet."""
        path.mkdir(parents=parents, exist_ok=False)

    def make_parents(self, path: Path) -> None:
        """Create a folder and those above it, where they are missing."""
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path, content: bytes) -> None:
        """Create a file that must not exist yet, durably and whole: a reader never meets it half written."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with self.open_new(temporary) as stream:
                self.write(stream, content)
                self.sync(stream)
            self.name_new(temporary, path, content)
        finally:
            with contextlib.suppress(OSError):
                self.remove(temporary)

    def name_new(self, temporary: Path, path: Path, content: bytes) -> None:
        """Give a file a second name, which must be free: a rename does not ask for that."""
        _name_new(temporary, path, content)

    def open_new(self, path: Path) -> BinaryIO:
        """Open a temporary file for writing; what was written can be read again."""
        return path.open("w+b")

    def write(self, stream: BinaryIO, content: bytes) -> None:
        """Write a whole small file."""
        stream.write(content)

    def sync(self, stream: BinaryIO) -> None:
        """Force what was written to the device."""
        stream.flush()
        os.fsync(stream.fileno())

    def sync_folder(self, path: Path) -> None:
        """Make the names of a folder durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a complete file its final name, atomically."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file that is superseded."""
        path.unlink(missing_ok=True)

    def read(self, path: Path, limit: int) -> bytes:
        """Return a file's content; ValueError for one longer than `limit` bytes, or a pipe or device."""
        descriptor = os.open(path, os.O_RDONLY | NO_WAITING)
        with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor has no path
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path.name} is not a file")
            if status.st_size > limit:
                raise ValueError(f"{path.name} is larger than {limit:,} bytes")
            return stream.readall()

    def reading(self, path: Path, read: Callable[[], T]) -> T:  # noqa: ARG002 - for a disk that fails
        """Return what `read` returns, by which a library reads in a part."""
        return read()

    def lock(self, path: Path) -> int | None:
        """Lock an empty file, as `flocks.lock`."""
        return flocks.lock(path)

    def is_locked(self, path: Path) -> bool | None:
        """Whether somebody holds the lock, as `flocks.is_locked`."""
        return flocks.is_locked(path)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file."""
        return path.exists()

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; a missing folder has none."""
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - Path.iterdir builds a Path a name: 5x slower
        except (FileNotFoundError, NotADirectoryError):
            return []

    def free_bytes(self, folder: Path) -> int | None:
        """Free space for the warning about a full disk; None where it cannot be asked."""
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    def replace_content(self, path: Path, content: bytes, *, durable: bool) -> None:
        """Rewrite a small file so that a reader sees the old or the new content, never a part of it."""
        temporary = path.with_name(f".{path.name}.tmp")
        with self.open_new(temporary) as stream:
            self.write(stream, content)
            if durable:
                self.sync(stream)
        self.replace(temporary, path)


def _name_new(temporary: Path, path: Path, content: bytes) -> None:
    """With a link; where there are none, at the price of a moment in which the file is not whole."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with path.open("xb") as stream:
            stream.write(content)
