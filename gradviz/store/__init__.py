"""The store: a run folder that survives kill -9, its writer and its reader.

The only room that imports pyarrow. Its format is described in FORMAT.md. The reader, and pandas with
it, is loaded when it is first used: a training that only records pays for neither.
"""

from typing import TYPE_CHECKING

from gradviz.store.listing import RunSummary, list_runs
from gradviz.store.part_set import DamagedPart
from gradviz.store.places import default_folder, folders_to_show, sample_folder
from gradviz.store.writer import RunWriter

if TYPE_CHECKING:
    from gradviz.store.run import Run, open_run

__all__ = [
    "DamagedPart",
    "Run",
    "RunSummary",
    "RunWriter",
    "default_folder",
    "folders_to_show",
    "list_runs",
    "open_run",
    "sample_folder",
]


def __getattr__(name: str) -> object:
    if name not in ("Run", "open_run"):
        raise AttributeError(f"module 'gradviz.store' has no attribute {name!r}")
    from gradviz.store import run

    return getattr(run, name)
