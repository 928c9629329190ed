"""Where runs are: the folder of the user's runs and the folder of the shipped samples."""

from __future__ import annotations

import os
from pathlib import Path

from gradviz.errors import RunFolderError
from gradviz.store.urls import is_url, local_or_url

DEFAULT_NAME = "gradviz_runs"


def default_place() -> Path | str:
    """Where new runs go: `$GRADVIZ_DIR`, which may be an fsspec URL, else `./gradviz_runs`. It need not exist."""
    return local_or_url(os.environ.get("GRADVIZ_DIR") or DEFAULT_NAME)


def default_folder() -> Path:
    """The same where it must be a folder of this machine; raises RunFolderError when it is a URL."""
    place = default_place()
    if is_url(place):
        raise RunFolderError(
            f"$GRADVIZ_DIR is the URL {place}, and this needs a folder of this machine: name one. "
            f"`gradviz view {place}` and `gradviz ls {place}` show what is there."
        )
    return Path(place)


def sample_folder() -> Path:
    """Folder of the shipped sample runs: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_sample_runs"
    return shipped if shipped.is_dir() else package.parent / "sample_runs"


def folders_to_show(chosen: str | Path | None = None) -> list[Path]:
    """Folders that the dashboard and the command line list: the chosen or default one, then the samples."""
    first = Path(chosen or default_folder())
    samples = sample_folder()
    return [first] if first.resolve() == samples.resolve() else [first, samples]
