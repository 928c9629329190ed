"""What every query of a run needs: its table of layers, read again when it grew, and the rows that answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError
from gradviz.store import manifest as manifests
from gradviz.store.all_ranks import AllRanks
from gradviz.store.frames import LayerOrder, layer_frame
from gradviz.store.inline import facts_html
from gradviz.store.listing import list_runs
from gradviz.store.mirror import Copy
from gradviz.store.ranked_run import RankedRun
from gradviz.store.rows import RunRows

T = TypeVar("T")


class LoadedRun(RankedRun):
    """A run folder whose `run.json` has been read; the half of `Run` that asks nothing."""

    def __init__(self, path: Path, copy: Copy | None = None) -> None:
        super().__init__(path, copy)
        self._rows: dict[int, RunRows] = {}
        self._together: AllRanks | None = None
        self._stamp: object = None
        self._load()

    def fingerprint(self) -> Hashable:
        """A value that changes when new rows or layers arrive."""
        sets = [parts for rows in self._of_each() for parts in (rows.gradient_parts, rows.overview_parts)]
        names = [(parts.rank, name) for parts in sets for name in parts.names() if name[0] != "."]
        return (str(self.path), self.rank, manifests.stamp(self.path), tuple(names))

    def _repr_html_(self) -> str:
        """What is known of the run, for a notebook."""
        known = list_runs(self.path)
        return known[0]._repr_html_() if known else facts_html(self.path.name, {"folder": self.path})

    def _shown(self) -> RunRows | AllRanks:
        """What answers: the rows of one rank, or those of all together."""
        several = self._of_each()
        if len(several) == 1:
            return several[0]
        if self._together is None or list(self._together.rows.values()) != several:
            rows = {one.gradient_parts.rank: one for one in several}
            self._together = AllRanks(self.path, rows, lambda: self._layers)
        return self._together

    def _of_each(self) -> list[RunRows]:
        ranks = self._shown_ranks()
        for rank in ranks:
            if rank not in self._rows:
                self._rows[rank] = RunRows(self.path, self._check_layers, rank)
        return [self._rows[rank] for rank in ranks]

    def _load(self) -> None:
        """Read `run.json`, again when it was replaced (a layer was added)."""
        self._refresh()
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

    def _restarted(self, begin: Callable[[int], Iterator[tuple[int, T]]]) -> Iterator[T]:
        """What `begin(0)` yields; where a merge removes a part under it, it is begun from what was not given yet."""
        place, stream = 0, begin(0)

        def following() -> tuple[int, T] | None:
            nonlocal stream
            try:
                return next(stream, None)
            except FileNotFoundError:
                stream = begin(place)
                raise

        while (found := self._retry(following)) is not None:
            place = found[0]
            yield found[1]
