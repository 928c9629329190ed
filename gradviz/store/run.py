"""`Run`: a recorded training, read. Nothing here ever writes, and a live run may be read at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradviz.errors import QueryError
from gradviz.schema import Phase
from gradviz.store.broken_files import broken_files
from gradviz.store.frames import (
    arrays_of,
    event_frame,
    gradient_frame,
    overview_frame,
)
from gradviz.store.loaded_run import LoadedRun
from gradviz.store.mirror import Copy, origin_of
from gradviz.store.part_set import DamagedPart
from gradviz.store.query import DISTRIBUTION_COLUMNS, check_events, check_overview, check_query
from gradviz.store.rank_files import read_rank_file
from gradviz.store.urls import is_url


def open_run(path: str | Path, *, rank: int | None = None) -> Run:
    """Open a recorded run: live, finished, crashed or damaged; of one rank, or of all together.

    `path` may be an fsspec URL: a copy of the run is then kept on this machine, and up to date.

    Raises:
        RunNotFoundError: there is no run at that path.
        RunFormatError: its `run.json` is not ours, is damaged, or is of a newer format.
        QueryError: there is no such rank in it.
    """
    url = path if isinstance(path, str) and is_url(path) else origin_of(Path(path))
    copy = None if url is None else Copy(url)
    run = Run(Path(path) if copy is None else copy.fetch(), copy)
    return run if rank is None else run.of_rank(rank)


class Run(LoadedRun):
    """One recorded training. Each query looks at the folder anew, so a live run grows under the reader.

    Where several ranks recorded it, a query answers for all of them together. Sharded layers add up: mean |x|
    over all elements, L2 of the whole gradient, the greatest maximum; a moment of which a shard is missing
    has no row. Replicated layers have the value on which the ranks agree (to 1e-5); where they do not, the
    mean of the means, the root mean square of the L2 norms and the greatest maximum. The cosine is null
    unless the ranks agree on it. With `rank`, a query answers for that one.
    """

    def __init__(self, path: Path, copy: Copy | None = None) -> None:
        super().__init__(path, copy)
        self._alone: dict[int | None, Run] = {}

    def of_rank(self, rank: int | None) -> Run:
        """The same run, every answer for one rank alone (None: for all); raises QueryError for an unknown one."""
        if rank == self.rank:
            return self
        if rank is not None and rank not in self.ranks:
            raise QueryError(f"No rank {rank} in this run. It has: {', '.join(map(str, self.ranks))}.")
        if rank not in self._alone:
            self._alone[rank] = Run(self.path, self.copy)
            self._alone[rank].rank = rank
        return self._alone[rank]

    @property
    def name(self) -> str:
        """The run's name as it was given."""
        return str(self._manifest.get("name", self.path.name))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What `run.json` holds, without the table of layers; with `rank`, what that rank says of itself."""
        self._load()
        known = {key: value for key, value in self._manifest.items() if key != "layers"}
        files = [read_rank_file(self.path, rank) for rank in self._shown_ranks()]
        said = [dict(file.facts) for file in files if file is not None and file.facts]
        if self.rank is None:
            for facts in said:  # rank 0 writes into run.json itself
                known = {**facts, **{key: value for key, value in known.items() if value is not None}}
        elif said:
            known |= said[0]
        return MappingProxyType(known)

    @property
    def layers(self) -> pd.DataFrame:
        """Table of layers in forward order (else in the order of registration); a copy.

        Columns: `layer_id, layer, shape, numel, dtype, module_type, trainable, shared_names, position`.
        """
        self._load()
        return self._layers.copy()

    @property
    def damaged(self) -> list[DamagedPart]:
        """What cannot be read. Footers are checked here, pages whenever a query reads them (or `verify`)."""
        for rows in self._of_each():
            for parts in rows.part_sets:
                self._retry(parts.current)
        found = [part for rows in self._of_each() for part in rows.damaged.values()]
        found.sort(key=lambda part: (part.first_event, part.reason))
        return [*found, *broken_files(self.path, self._shown_ranks())]

    def verify(self) -> list[DamagedPart]:
        """Read everything once, with checksums; returns what is damaged."""
        for rows in self._of_each():
            self._retry(rows.verify)
        return self.damaged

    def gradients(
        self,
        *,
        layers: str | Iterable[str] | None = None,
        updates: tuple[int, int] | None = None,
        phases: str | Phase | Iterable[str | Phase] | None = None,
        columns: Iterable[str] | None = None,
        rank: int | None = None,
    ) -> pd.DataFrame:
        """Statistics of gradients: one row an event and layer, ordered by layer (forward order) and event.

        Args:
            layers: names of layers; None for all.
            updates: inclusive pair (first, last); None for all.
            phases: names of phases; None for all.
            columns: the columns wanted; fewer are faster.
            rank: the rank whose own gradients are wanted; None for all together (see `Run`).

        Float columns are NaN where there is no value *and* where the value is NaN; `nonfinite` (nullable)
        tells them apart: it is <NA> where there was no gradient and positive where it was not finite.

        Raises:
            QueryError: a layer, phase, column or rank that does not exist, or a result of many gigabytes.
        """
        if rank is not None and rank != self.rank:
            return self.of_rank(rank).gradients(
                layers=layers, updates=updates, phases=phases, columns=columns
            )
        self._load()
        query = check_query(self._layers, layers, updates, phases, columns)
        rows = self._shown()
        return gradient_frame(self._retry(lambda: rows.gradients(query)), self._order, query.columns)

    def pieces(
        self,
        columns: Iterable[str],
        *,
        layers: str | Iterable[str] | None = None,
        updates: tuple[int, int] | None = None,
        phases: str | Phase | Iterable[str | Phase] | None = None,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """The rows of `gradients`, unsorted and a piece at a time: for runs of more rows than memory or time for them.

        Yields `layer_id`, `event` and `columns` (without `layer`) as they are stored: nothing is widened, `phase`
        is its number, floats are NaN where null and counts -1. Of a layer, the rows ascend by event from piece to
        piece.

        Raises:
            QueryError: a layer, phase or column that does not exist.
        """
        self._load()
        query = check_query(self._layers, layers, updates, phases, columns)
        plain = replace(query, columns=tuple(name for name in query.columns if name != "layer"))
        tables = self._restarted(lambda place: self._shown().pieces(plain, place))
        return (arrays_of(table) for table in tables)

    def distributions(
        self,
        *,
        layers: str | Iterable[str] | None = None,
        updates: tuple[int, int] | None = None,
        rank: int | None = None,
    ) -> pd.DataFrame:
        """How many elements of each gradient, as consumed, have which binary exponent; empty without them.

        One row an update event and layer that had a gradient: `event, update, layer` and the int64 columns of
        `schema.BIN_NAMES`: `2^-10` counts 2^-10 <= |x| < 2^-9. Elements that are not finite are in none.
        """
        if rank is not None and rank != self.rank:
            return self.of_rank(rank).distributions(layers=layers, updates=updates)
        self._load()
        query = replace(check_query(self._layers, layers, updates, None, None), columns=DISTRIBUTION_COLUMNS)
        rows = self._shown()
        return gradient_frame(self._retry(lambda: rows.distributions(query)), self._order, query.columns)

    def events(self, *, updates: tuple[int, int] | None = None, columns: Iterable[str] | None = None,
               rank: int | None = None) -> pd.DataFrame:  # fmt: skip
        """One row an event: `event, update, micro_step, phase`; `seconds`, the loss, `lr`, what was logged.

        `columns`: those wanted besides the first four, as far as there are such. `loss_is_nan` tells a NaN from what is
        not known. Of events whose part is damaged only the first four are. Of several ranks: means of losses and
        logged numbers, the sum of `loss_elements`, and how many `ranks` have it.
        """
        if rank is not None and rank != self.rank:
            return self.of_rank(rank).events(updates=updates, columns=columns)
        asked, rows = check_events(updates, columns), self._shown()
        return event_frame(self._retry(lambda: rows.events(*asked)))

    def overview(self, *, updates: tuple[int, int] | None = None, columns: Iterable[str] | None = None,
                 most_blocks: int | None = None, rank: int | None = None) -> pd.DataFrame:  # fmt: skip
        """Roll-up of the run: one row a layer and block of 16 updates, ordered by layer and block.

        `count` update rows with finite statistics make up `mean_abs_sum`, `_min`, `_max` (and `l2_*`,
        `max_abs_*`) and `l2_squares_sum`, which is NaN where an older gradviz recorded them; `micro_count` micro-step
        rows make up `micro_mean_abs_*`; the rows that `nonfinite` and `micro_nonfinite` count are in none of them.

        Args:
            updates: inclusive pair; a block stays whole where some of its updates are asked for.
            columns: those wanted besides `layer`, `block`, `first_update` and `last_update`; fewer are faster.
            most_blocks: where there are more, equal numbers of neighbouring blocks are added up, exactly, and have
                the number of the first: for runs of more updates than a picture has columns.
            rank: as for `gradients`.
        """
        if rank is not None and rank != self.rank:
            return self.of_rank(rank).overview(updates=updates, columns=columns, most_blocks=most_blocks)
        self._load()
        asked, rows = check_overview(columns, most_blocks, updates), self._shown()
        return overview_frame(self._retry(lambda: rows.overview(asked)), self._order)

    @property
    def updates(self) -> tuple[int, int] | None:
        """First and last update that has rows; None while there is nothing yet."""
        parts = [part for rows in self._of_each() for part in self._retry(rows.gradient_parts.current)]
        ranges = np.concatenate([np.zeros((0, 2), np.int64), *(part.ranges["update"] for part in parts)])
        return (int(ranges[:, 0].min()), int(ranges[:, 1].max())) if len(ranges) else None

    @property
    def windows(self) -> tuple[int, int] | None:
        """First and last update with more than the reset that ends a run; None while there is none."""
        rows = self._shown()
        return self._retry(lambda: rows.windows)

    @property
    def last_event(self) -> int | None:
        """Number of the last event on disk; None while there is nothing yet."""
        rows = self._shown()
        return self._retry(lambda: rows.last_event)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Inclusive ranges of event numbers that are missing: dropped by the writer, lost by a rank, or damaged."""
        return self._retry(self._shown().gaps)
