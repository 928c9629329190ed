"""Copying a run to a URL while it is recorded, and copies of remote runs for the reader.

Parts never change, so that a copy is made by name: what is not there yet is copied, what is superseded is
removed. The recorder writes into a folder of this machine first; nothing waits for a network but its copy.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gradviz.errors import GradvizError, RunNotFoundError
from gradviz.store.files import Disk
from gradviz.store.heartbeat import file_name as heartbeat_name
from gradviz.store.heartbeat import read_heartbeat
from gradviz.store.manifest import FILE_NAME, SIZE_LIMIT
from gradviz.store.parts import parse_part_name, part_folder
from gradviz.store.rank_files import file_name as rank_file_name
from gradviz.store.rank_files import ranks_of
from gradviz.store.urls import Remote, cache_folder, short_name

KINDS = ("events", "distributions", "overview", "gradients")  # the gradients part is the commit
MIRROR_SECONDS = 5.0  # between two looks: an object store bills each file
LONGEST_PAUSE = 300.0
REFRESH_SECONDS = 2.0
TRIES = 5  # a merge removes remote parts while they are copied
_ORIGIN = "origin.txt"


class Mirror:
    """Keeps the files of one rank alike at a URL. Used by the writer's thread alone."""

    def __init__(self, run: Path, rank: int, url: str) -> None:
        self._remote = Remote(url)
        self.url = self._remote.url
        self._run, self._rank = run, rank
        self._sent: dict[str, tuple[int, int]] = {}
        self._due = self._pause = 0.0

    def update(self, note: Callable[[str], None], *, final: bool = False) -> str | None:
        """Copy what is new, if it is time to; returns the first error's text, all are noted."""
        if not final and time.monotonic() < self._due:
            return None
        try:
            self._copy()
            self._pause = 0.0
        except Exception as error:  # a network may fail in any way
            reason = f"copying to {self.url}: {type(error).__name__}: {error}"
            note(reason)
            first, self._pause = not self._pause, min(max(2 * self._pause, MIRROR_SECONDS), LONGEST_PAUSE)
            return reason if first or final else None
        finally:
            self._due = time.monotonic() + max(self._pause, MIRROR_SECONDS)
        return None

    def _copy(self) -> None:
        """The table of layers before parts that use it, the commit of a batch last, and then the heartbeat."""
        parts = [name for kind in KINDS for name in self._parts(kind)]
        for name in (FILE_NAME, rank_file_name(self._rank), *parts, heartbeat_name(self._rank)):
            with contextlib.suppress(FileNotFoundError):  # merged meanwhile
                self._send(name)
        for name in set(self._sent).difference(parts):
            if name.endswith(".parquet"):
                with contextlib.suppress(FileNotFoundError):
                    self._remote.remove(name)
                del self._sent[name]

    def _parts(self, kind: str) -> list[str]:
        folder = part_folder(self._run, kind, self._rank)
        found = [name for name in Disk().names(folder) if parse_part_name(name) is not None]
        return [f"{folder.relative_to(self._run).as_posix()}/{name}" for name in found]

    def _send(self, name: str) -> None:
        path = self._run / name
        status = path.stat()
        stamp = status.st_size, status.st_mtime_ns
        if self._sent.get(name) != stamp:
            self._remote.upload(path, name)
            self._sent[name] = stamp


def spool_folder(url: str) -> Path:
    """Where runs for a URL are recorded before they are copied; it may be removed when they have ended."""
    return cache_folder() / "spool" / short_name(url.rstrip("/"))


class Copy:
    """A copy of a remote run on this machine, brought up to date from time to time."""

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self._remote = Remote(url)
        parent, _, name = self._remote.url.rpartition("/")
        self.path = (_shelf(parent) if folder is None else folder) / name
        self._due = 0.0

    def refresh(self) -> None:
        """Copy what has come since the last look, at most every two seconds."""
        if time.monotonic() >= self._due:
            self.fetch()
            self._due = time.monotonic() + REFRESH_SECONDS

    def fetch(self) -> Path:
        """Copy what is not here, remove what is not there any more; raises RunNotFoundError."""
        for _ in range(TRIES):
            try:
                return self._fetch()
            except FileNotFoundError:
                continue
            except GradvizError:
                raise
            except Exception as error:
                raise RunNotFoundError(f"Cannot read {self._remote.url}: {error}") from error
        raise RunNotFoundError(f"The parts of {self._remote.url} change faster than they can be copied.")

    def fetch_missing(self) -> Path:
        """Copy a run that is to go on; what this machine has recorded of it is kept where it is the newer."""
        if not (self.path / FILE_NAME).is_file():
            return self.fetch()
        there = self._remote.files()
        parts = [name for name in there if not name.endswith(".json")]
        for name in sorted(parts, key=_commit_order):
            if not (self.path / name).is_file():
                _copy_in(self._remote, name, self.path / name, there[name])
        if self._is_newer_there(there):
            for name in there.keys() - set(parts):
                _copy_in(self._remote, name, self.path / name, there[name])
        return self.path

    def _is_newer_there(self, there: Mapping[str, int]) -> bool:
        """Whether another machine has gone on with the run since."""
        beats = [name for name in there if name.startswith("heartbeat-") and there[name] <= SIZE_LIMIT]
        theirs = [float(json.loads(self._remote.read(name)).get("written", 0.0)) for name in beats]
        mine = [beat.written for rank in ranks_of(self.path) if (beat := read_heartbeat(self.path, rank))]
        return max(theirs, default=0.0) > max(mine, default=0.0)

    def _fetch(self) -> Path:
        there = self._remote.files()
        if FILE_NAME not in there:
            raise RunNotFoundError(f"No run at {self._remote.url}: there is no {FILE_NAME} in it.")
        self.path.mkdir(parents=True, exist_ok=True)
        here = {
            path.relative_to(self.path).as_posix(): path for path in self.path.rglob("*") if path.is_file()
        }
        for name in sorted(there, key=_commit_order):
            known = here.get(name)
            if known is None or name.endswith(".json") or known.stat().st_size != there[name]:
                _copy_in(self._remote, name, self.path / name, there[name])
        for name in here.keys() - there.keys():
            here[name].unlink(missing_ok=True)
        return self.path


def _commit_order(name: str) -> int:
    kind = name.partition("/")[0]
    return KINDS.index(kind) if kind in KINDS else -1


def _copy_in(remote: Remote, name: str, target: Path, size: int) -> None:
    if not name.endswith(".json"):
        remote.download(name, target)
    elif size > SIZE_LIMIT:
        raise RunNotFoundError(f"{remote.url}/{name} is larger than {SIZE_LIMIT:,} bytes.")
    else:
        content = remote.read(name)
        if not target.is_file() or target.read_bytes() != content:  # else `run.json` would look replaced
            Disk().replace_content(target, content, durable=False)


def _shelf(parent: str) -> Path:
    """The folder for copies of the runs at one URL; it remembers which."""
    shelf = cache_folder() / "copies" / short_name(parent)
    shelf.mkdir(parents=True, exist_ok=True)
    if not (shelf / _ORIGIN).is_file():
        (shelf / _ORIGIN).write_text(parent, encoding="utf-8")
    return shelf


def copies_at(url: str) -> Path:
    """A folder with what a listing of the runs at a URL needs: copies of their JSON files."""
    remote = Remote(url)
    shelf = _shelf(remote.url)
    try:
        names = remote.runs()
    except FileNotFoundError:
        names = []
    except Exception as error:  # a network may fail in any way
        raise RunNotFoundError(f"Cannot list {remote.url}: {error}") from error
    for name in names:
        one = Remote(f"{remote.url}/{name}")
        for file, size in one.files().items():
            if file.endswith(".json"):
                (shelf / name).mkdir(exist_ok=True)
                _copy_in(one, file, shelf / name / file, size)
    for gone in {path.name for path in shelf.iterdir() if path.is_dir()} - set(names):
        with contextlib.suppress(OSError):
            (shelf / gone / FILE_NAME).unlink()
    return shelf


def local_copies(url: str) -> Path:
    """The folder to look at for a URL: the copy of the run there, else that of the runs below it, which fills."""
    if Remote(url).is_run():
        return Copy(url).fetch()
    return copies_at(url)


def origin_of(path: Path) -> str | None:
    """The URL of which `path` is a copy, if it is one of ours; a folder elsewhere cannot claim one."""
    shelf = path.parent
    if shelf.parent != cache_folder() / "copies":
        return None
    try:
        return f"{(shelf / _ORIGIN).read_text(encoding='utf-8')}/{path.name}"
    except OSError:
        return None
