"""Where runs are: the folder of the user's runs and the folder of the shipped samples."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_NAME = "gradviz_runs"


def default_folder() -> Path:
    """Folder for new runs: `$GRADVIZ_DIR`, else `./gradviz_runs`. It need not exist."""
    return Path(os.environ.get("GRADVIZ_DIR") or DEFAULT_NAME)


def sample_folder() -> Path:
    """Folder of the shipped sample runs: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_sample_runs"
    return shipped if shipped.is_dir() else package.parent / "sample_runs"


def folders_to_show(chosen: str | Path | None = None) -> list[Path]:
    """Folders that the dashboard and the command line list: the chosen or default one, then the samples."""
    first = Path(chosen) if chosen else default_folder()
    samples = sample_folder()
    return [first] if first.resolve() == samples.resolve() else [first, samples]
