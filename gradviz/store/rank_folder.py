"""The files of one rank of a run, as its only writer sees them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradviz.errors import DamagedPartError, RefusedPartError
from gradviz.schema import EventRecord, Layer, Phase, RunState
from gradviz.store import manifest as manifests
from gradviz.store.batches import LayerNames, event_table, gradient_table, read_scalars
from gradviz.store.distributions import distribution_table
from gradviz.store.files import Disk
from gradviz.store.heartbeat import Heartbeat, file_name
from gradviz.store.locks import door
from gradviz.store.merging import Merger, cut_points, row_group_rows
from gradviz.store.parts import EventRange, PartWriter, part_folder
from gradviz.store.rank_files import RESERVED, RankFile, Segment
from gradviz.store.rank_files import file_name as rank_file_name
from gradviz.store.resuming import Numbering, Past
from gradviz.store.statistics import Floats
from gradviz.store.tail import TailPart, plan_merge

READ_TRIES = 20  # half a minute between two of them


class RankFolder:
    """Writes parts, `run.json` and the heartbeat of one rank, and keeps the list of unmerged parts."""

    def __init__(self, run: Path, rank: int, manifest: manifests.Manifest, layers: Sequence[Layer], *,
                 disk: Disk, durable: bool) -> None:  # fmt: skip
        self.run, self.rank, self.disk, self.durable = run, rank, disk, durable
        self.manifest = manifest
        self.layers = manifests.tidy_layers(layers)
        self.names = LayerNames(self.layers)
        self.heartbeat = Heartbeat(rank=rank)
        self.before = Heartbeat(rank=rank)  # what earlier processes have counted
        self.record = RankFile(rank, (Segment(),))
        self.tail: list[TailPart] = []
        self._numbering: Numbering | None = None
        self._checked: object = None
        self._refusals = 0  # merges in a row that were not allowed to read a part

    def go_on(self, past: Past, record: RankFile, numbering: Numbering) -> None:
        """Continue after what is on disk: `record` has this process's segment already."""
        self.before = past.heartbeat
        first = record.segments[-1].first_event
        self.heartbeat = replace(
            past.heartbeat, state=RunState.LIVE, reason=None, last_event=first - 1 if first else None
        )
        self.tail, self.record = past.tail, record
        self._numbering = None if numbering.is_identity else numbering
        self._update_table(numbering.added, {})
        self.write_rank_file()
        self.write_heartbeat()

    @property
    def _is_shared(self) -> bool:
        return self.record.segments[-1].world_size > 1

    def update_manifest(self, layers: Sequence[Layer], facts: Mapping[str, Any]) -> None:
        """Append layers and add entries; the files are replaced before anything uses them.

        Entries of other ranks than 0 go into the rank's own file: `run.json` belongs to all.
        """
        if self._numbering is not None:
            layers, facts = self._numbering.translate_layers(layers), self._numbering.translate_facts(facts)
        reserved = (*manifests.RESERVED, *RESERVED)
        facts = {name: fact for name, fact in facts.items() if name not in reserved}
        self._update_table(layers, facts if self.rank == 0 else {})
        if facts and self.rank:
            self.record = replace(self.record, facts={**self.record.facts, **facts})
            self.write_rank_file()

    def _update_table(self, layers: Sequence[Layer], facts: Mapping[str, Any]) -> None:
        known = {layer.layer_id for layer in self.layers}
        if not facts and all(layer.layer_id in known for layer in layers):
            return
        with door(self.run / f".{manifests.FILE_NAME}.lock", self.disk) if self._is_shared else nullcontext():
            if self._is_shared:  # another rank may have written it
                self.manifest = manifests.read_manifest(self.run, self.disk)
                self.layers = manifests.layers_of(self.manifest, self.run)
                known = {layer.layer_id for layer in self.layers}
            new = [layer for layer in layers if layer.layer_id not in known]
            table = manifests.tidy_layers([*self.layers, *new])
            manifest = {**self.manifest, **facts, "layers": manifests.layer_rows(table)}
            path = self.run / manifests.FILE_NAME
            self.disk.replace_content(path, manifests.encode(manifest), durable=self.durable)
        # not before it is on disk: after a failure the layers come again, and must not count as known
        self.manifest, self.layers, self.names = manifest, table, LayerNames(table)

    def write_rank_file(self) -> None:
        """Rewrite what this rank says about itself."""
        path = self.run / rank_file_name(self.rank)
        self.disk.replace_content(path, self.record.encode(), durable=self.durable)

    def in_this_run(self, record: EventRecord, sums: Floats) -> tuple[EventRecord, Floats]:
        """The event with the layer ids of this run: a resumed one may count its layers otherwise."""
        return (record, sums) if self._numbering is None else self._numbering.translate(record, sums)

    def check_layers(self, record: EventRecord) -> None:
        """Raise ValueError for an event with layers that the table does not have, or out of order."""
        if record.layer_ids is self._checked:
            return
        layer_ids = np.asarray(record.layer_ids)
        if (np.diff(layer_ids) <= 0).any() or not self.names.knows(layer_ids):
            raise ValueError("its layers are unknown or not ascending")
        self._checked = record.layer_ids

    def write_batch(self, records: Sequence[EventRecord], sums: Sequence[Floats]) -> None:
        """Write the events part, the distributions if there are any, then the gradients: they are the commit."""
        rows = gradient_table(records, sums, self.names)
        events = EventRange(records[0].event, records[-1].event)
        scalars = [read_scalars(record.scalars) for record in records]
        self._write("events", events, [event_table(records, scalars)])
        if any(record.counts is not None for record in records):
            self._write_distributions(events, distribution_table(records, self.names))
        self._write("gradients", events, _row_groups(rows, "gradients"))
        self.tail.append(TailPart(events, len(records), rows.num_rows))
        updates = (record.update for record in records if record.phase == Phase.UPDATE)
        self.heartbeat = replace(
            self.heartbeat,
            events=self.heartbeat.events + len(records),
            last_event=records[-1].event,
            last_update=max(updates, default=self.heartbeat.last_update),
            last_event_at=time.time(),
        )

    def _write_distributions(self, events: EventRange, rows: Any) -> None:
        folder = part_folder(self.run, "distributions", self.rank)
        if not self.disk.exists(folder):  # a run without distributions has no such folder
            self.disk.make_folder(folder, parents=True)
        self._write("distributions", events, _row_groups(rows, "distributions"))

    def _write(self, kind: str, events: EventRange, row_groups: Sequence[Any]) -> None:
        folder = part_folder(self.run, kind, self.rank)
        with PartWriter(self.disk, folder, kind, events, row_groups[0].schema) as part:
            for table in row_groups:
                part.add_row_group(table)
            part.commit(durable=self.durable)

    def merge(self, *, final: bool = False) -> Iterator[None]:
        """Merge what is due; pauses after each row group, so that a flush can come between.

        A part that is damaged or gone is left as it is, and so is everything before it; one that cannot be read
        now is tried again.
        """
        merger = Merger(self.run, self.rank, self.disk, self.durable)
        while (plan := plan_merge(self.tail, final=final)) is not None:
            try:
                yield from merger.merge(plan, self.names)
            except (DamagedPartError, FileNotFoundError) as error:
                self._refusals += 1
                if isinstance(error, RefusedPartError) and self._refusals < READ_TRIES:
                    raise
                self._refusals = 0
                self.tail = [part for part in self.tail if part.events.first > plan.events.last]
                raise
            self._refusals = 0
            merged = TailPart(plan.events, sum(p.count for p in plan.parts), sum(p.rows for p in plan.parts))
            self.tail = [
                *(part for part in self.tail if part.events.last < plan.events.first),
                *([] if plan.seals else [merged]),
                *(part for part in self.tail if part.events.first > plan.events.last),
            ]

    def write_heartbeat(self, *, durable: bool = False, tries: int = 1) -> None:
        """Rewrite the heartbeat; OSError where none of the `tries` works."""
        path = self.run / file_name(self.rank)
        try:
            self.disk.replace_content(path, self.heartbeat.encode(), durable=durable)
        except OSError:
            if tries == 1:
                raise
            self.write_heartbeat(durable=durable, tries=tries - 1)

    def is_gone(self) -> bool:
        """Whether someone has removed the run while it is recorded."""
        with contextlib.suppress(OSError):
            return not self.disk.exists(self.run / manifests.FILE_NAME)
        return False


def _row_groups(table: Any, kind: str) -> list[Any]:
    """Cut a table that is sorted by layer into row groups of about 16,384 rows that split no layer."""
    rows = row_group_rows(kind)
    if table.num_rows <= rows:
        return [table]
    layer_ids = table.column("layer_id").to_numpy()
    ends = np.flatnonzero(np.diff(layer_ids, append=-1)) + 1
    stops = [int(ends[cut - 1]) for cut in cut_points(ends, rows)]
    return [table.slice(start, stop - start) for start, stop in zip([0, *stops], stops, strict=False)]
