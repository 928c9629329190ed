"""`Run`: a recorded training, read. Nothing here ever writes, and a live run may be read at any time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError, RunFormatError, RunNotFoundError
from gradviz.schema import Phase, RunState
from gradviz.store import manifest as manifests
from gradviz.store.frames import LayerOrder, event_frame, gradient_frame, layer_frame, overview_frame
from gradviz.store.heartbeat import read_heartbeat, state_of
from gradviz.store.part_set import DamagedPart
from gradviz.store.query import check_query, check_updates
from gradviz.store.rows import RunRows

RETRIES = 20  # a merge removes parts once in thousands of events; twice in a row is luck, twenty times is not
T = TypeVar("T")


def open_run(path: str | Path) -> Run:
    """Open a recorded run: live, finished, crashed or damaged.

    Raises:
        RunNotFoundError: there is no run at that path.
        RunFormatError: its `run.json` is not ours, is damaged, or is of a newer format.
    """
    return Run(Path(path))


class Run:
    """One recorded training. Each query looks at the folder anew, so a live run grows under the reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = RunRows(path, self._check_layers)
        self._stamp: object = None
        self._load()

    def _load(self) -> None:
        """Read `run.json`, again when it was replaced (a layer was added)."""
        stamp = manifests.stamp(self.path)
        if self._stamp is not None and stamp in (self._stamp, None):
            return
        manifest = manifests.read_manifest(self.path)
        layers = manifests.layers_of(manifest, self.path)
        self._manifest = manifest
        self._layers = layer_frame(layers, manifests.forward_order_of(manifest))
        self._order = LayerOrder(self._layers)
        self._stamp = stamp

    def _check_layers(self, layer_ids: NDArray[np.int32]) -> None:
        if not self._order.knows(layer_ids):
            self._load()  # a layer was added since: run.json is replaced before the first part that uses it
        if not self._order.knows(layer_ids):
            raise DamagedPartError("rows of layers that run.json does not know")

    @property
    def name(self) -> str:
        """The run's name as it was given."""
        return str(self._manifest.get("name", self.path.name))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What `run.json` holds, without the table of layers."""
        self._load()
        return MappingProxyType({key: value for key, value in self._manifest.items() if key != "layers"})

    @property
    def layers(self) -> pd.DataFrame:
        """Table of layers in forward order (else in the order of registration); a copy.

        Columns: `layer_id, layer, shape, numel, dtype, module_type, trainable, shared_names, position`.
        """
        self._load()
        return self._layers.copy()

    @property
    def state(self) -> RunState:
        """How the run stands now."""
        return state_of(self.path, read_heartbeat(self.path))

    @property
    def reason(self) -> str | None:
        """Why the run ended as it did: the type of the exception of a crashed one; None where nothing was said."""
        heartbeat = read_heartbeat(self.path)
        return None if heartbeat is None else heartbeat.reason

    @property
    def dropped(self) -> int:
        """Events that the writer dropped and counted."""
        heartbeat = read_heartbeat(self.path)
        return heartbeat.dropped if heartbeat else 0

    @property
    def damaged(self) -> list[DamagedPart]:
        """What cannot be read. Footers are checked here, pages whenever a query reads them (or `verify`)."""
        for parts in (self._rows.gradient_parts, self._rows.event_parts, self._rows.overview_parts):
            self._retry(parts.current)
        return sorted(self._rows.damaged.values(), key=lambda part: (part.first_event, part.reason))

    def verify(self) -> list[DamagedPart]:
        """Read everything once, with checksums; returns what is damaged."""
        self._retry(self._rows.verify)
        return self.damaged

    def gradients(
        self,
        *,
        layers: str | Iterable[str] | None = None,
        updates: tuple[int, int] | None = None,
        phases: str | Phase | Iterable[str | Phase] | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Statistics of gradients: one row an event and layer, ordered by layer (forward order) and event.

        Args:
            layers: names of layers; None for all.
            updates: inclusive pair (first, last); None for all.
            phases: names of phases; None for all.
            columns: the columns wanted; fewer are faster.

        Float columns are NaN where there is no value *and* where the value is NaN; `nonfinite` (nullable)
        tells them apart: it is <NA> where there was no gradient and positive where it was not finite.

        Raises:
            QueryError: a layer, phase or column that does not exist, or a result of many gigabytes.
        """
        self._load()
        query = check_query(self._layers, layers, updates, phases, columns)
        return gradient_frame(self._retry(lambda: self._rows.gradients(query)), self._order, query.columns)

    def events(self, *, updates: tuple[int, int] | None = None) -> pd.DataFrame:
        """One row an event: `event, update, micro_step, phase, seconds`, the loss, `lr`, what was logged."""
        chosen = check_updates(updates)
        return event_frame(self._retry(lambda: self._rows.events(chosen)))

    def overview(self) -> pd.DataFrame:
        """Roll-up of the whole run: one row a layer and block of 16 updates, ordered by layer and block.

        `count` update rows with finite statistics make up `mean_abs_sum`, `_min`, `_max` (and `l2_*`,
        `max_abs_*`); `micro_count` micro-step rows make up `micro_mean_abs_*`; the rows that `nonfinite` and
        `micro_nonfinite` count are in none of them.
        """
        self._load()
        return overview_frame(self._retry(self._rows.overview), self._order)

    @property
    def updates(self) -> tuple[int, int] | None:
        """First and last update that has rows; None while there is nothing yet."""
        ranges = [
            part.ranges["update"] for part in self._retry(self._rows.gradient_parts.current) if len(part.rows)
        ]
        if not ranges:
            return None
        return int(min(pairs[:, 0].min() for pairs in ranges)), int(
            max(pairs[:, 1].max() for pairs in ranges)
        )

    @property
    def last_event(self) -> int | None:
        """Number of the last event on disk; None while there is nothing yet."""
        parts = self._retry(self._rows.gradient_parts.current)
        return parts[-1].events.last if parts else None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Inclusive ranges of event numbers that are missing: dropped by the writer, or damaged."""
        return self._retry(self._rows.gaps)

    def fingerprint(self) -> Hashable:
        """A value that changes when new rows or layers arrive."""
        names = [*self._rows.gradient_parts.names(), *self._rows.overview_parts.names()]
        return (str(self.path), manifests.stamp(self.path), tuple(name for name in names if name[0] != "."))

    def _retry(self, query: Callable[[], T]) -> T:
        """Run a query; when a merge removed a part under it, look again."""
        for _ in range(RETRIES):
            try:
                return query()
            except FileNotFoundError:
                if manifests.stamp(self.path) is None:
                    raise RunNotFoundError(
                        f"The run at {self.path} is gone: its folder was removed."
                    ) from None
        raise RunFormatError(f"The parts of {self.path} change faster than they can be read.")
