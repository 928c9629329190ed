"""Where each rank of a run began, and began again, as a frame."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from gradviz.store.rank_files import Segment, read_rank_file

COLUMNS = ("rank", "first_event", "first_update", "started", "restart")


def segment_frame(run: Path, ranks: Sequence[int], created: datetime) -> pd.DataFrame:
    """One row a segment, by rank and time; a rank that says nothing has one, as long as the run."""
    rows = []
    for rank in ranks:
        file = read_rank_file(run, rank)
        for one in file.segments if file else (Segment(started=created.timestamp()),):
            rows.append((rank, one.first_event, one.first_update, one.started, one.restart))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: "float64" if name == "started" else "int64" for name in COLUMNS})
