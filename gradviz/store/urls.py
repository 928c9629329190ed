"""Run folders that are fsspec URLs (`s3://bucket/runs`, `memory://runs`): the file systems behind them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from gradviz.errors import RunFolderError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]*)*://")
_FILE = re.compile(
    r"(?:run|heartbeat-\d{1,9}|rank-\d{1,9})\.json"
    r"|(?:events|gradients|overview|distributions)/rank=\d{1,9}/part-\d{1,18}-\d{1,18}\.parquet",
    re.ASCII,
)
# a file that others see while it is being written, so that it is written beside and moved
_NOT_AT_ONCE = {"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs", "dbfs"}
_WHOLE = 2**26  # bytes up to which a file is handed over in one piece


def is_url(place: object) -> bool:
    """Whether a place for runs is a URL; a Windows drive is none."""
    return isinstance(place, str) and _URL.match(place) is not None


def local_or_url(place: str | os.PathLike[str]) -> Path | str:
    """A place for runs as it is meant: a URL as it stands, anything else as a path."""
    return place if isinstance(place, str) and is_url(place) else Path(place)


def is_run_file(name: str) -> bool:
    """Whether a name, relative to a run folder, is one of those that a run consists of."""
    return _FILE.fullmatch(name) is not None


def cache_folder() -> Path:
    """Where copies of remote runs lie: `$GRADVIZ_CACHE`, else `gradviz` in the user's cache folder."""
    own = os.environ.get("GRADVIZ_CACHE")
    if own:
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "gradviz"


def short_name(url: str) -> str:
    """A name for a URL that is safe for a folder."""
    return hashlib.sha256(url.encode("utf-8", "backslashreplace")).hexdigest()[:16]


class Remote:
    """A folder behind a URL. Every method may raise whatever its file system raises."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            import fsspec  # type: ignore[import-untyped]  # ships no types
        except ImportError as error:
            raise RunFolderError(
                f"{url} is a URL, and the package fsspec is not installed: "
                "pip install 'gradviz-dashboard[remote]', and what its protocol needs (s3fs for s3://)."
            ) from error
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise RunFolderError(f"{url} cannot be reached: {error}") from error

    def files(self) -> dict[str, int]:
        """Sizes of the files of the run in this folder, by relative name; of others nothing is told."""
        self._fs.invalidate_cache()
        root = self._root.rstrip("/") + "/"
        found: dict[str, Any] = self._fs.find(self._root, detail=True)
        relative = {path.removeprefix(root): entry for path, entry in found.items() if path.startswith(root)}
        return {name: int(entry["size"] or 0) for name, entry in relative.items() if is_run_file(name)}

    def is_run(self) -> bool:
        """Whether this folder is itself a run."""
        return bool(self._fs.exists(self._path("run.json")))

    def runs(self) -> list[str]:
        """Names of the runs that lie directly in this folder."""
        self._fs.invalidate_cache()
        found = self._fs.glob(f"{self._root.rstrip('/')}/*/run.json")
        return sorted(path.rsplit("/", 2)[-2] for path in found)

    def read(self, name: str) -> bytes:
        """Content of a small file."""
        content: bytes = self._fs.cat_file(self._path(name))
        return content

    def download(self, name: str, target: Path) -> None:
        """Copy a file here; it has its name only when it is whole."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._fs.get_file(self._path(name), str(temporary))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def upload(self, source: Path, name: str) -> None:
        """Copy a file there; a reader sees all of it or nothing."""
        target = self._path(name)
        folder, _, last = target.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        protocol = self._fs.protocol if isinstance(self._fs.protocol, str) else self._fs.protocol[0]
        beside = f"{folder}/.{last}.tmp" if protocol in _NOT_AT_ONCE else target
        if source.stat().st_size <= _WHOLE:
            self._fs.pipe_file(beside, source.read_bytes())
        else:
            self._fs.put_file(str(source), beside)
        if beside != target:
            self._fs.mv(beside, target)

    def remove(self, name: str) -> None:
        """Remove a file that is superseded."""
        self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
