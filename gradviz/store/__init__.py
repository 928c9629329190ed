"""The store: a run folder that survives kill -9, its writer and its reader.

The only room that imports pyarrow. Its format is described in FORMAT.md.
"""

from gradviz.store.listing import RunSummary, list_runs
from gradviz.store.part_set import DamagedPart
from gradviz.store.places import default_folder, folders_to_show, sample_folder
from gradviz.store.run import Run, open_run
from gradviz.store.writer import RunWriter

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
