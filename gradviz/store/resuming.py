"""Going on where a run ended: the numbers that come next, the parts that are left to merge, the layers by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.errors import DamagedPartError, RefusedPartError, RunFolderError
from gradviz.schema import EventRecord, Layer
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.heartbeat import Heartbeat, known_heartbeat, read_heartbeat
from gradviz.store.part_files import PartFile
from gradviz.store.part_set import PartSet
from gradviz.store.parts import parse_part_name, part_folder
from gradviz.store.rank_files import RankFile, Segment, ranks_of, read_rank_file
from gradviz.store.statistics import Floats
from gradviz.store.tail import TailPart


@dataclass(frozen=True)
class Numbering:
    """Translates the layer ids of a recorder into those of the run's table; `added` are new in the table."""

    ids: dict[int, int]
    last: int  # the greatest id of the run's table
    added: tuple[Layer, ...] = ()

    @classmethod
    def of(cls, table: Sequence[Layer], layers: Sequence[Layer], run: Path) -> Numbering:
        """Match layers by name; raises RunFolderError where a name has another shape in the run."""
        known = {layer.name: layer for layer in table}
        following = 1 + max((layer.layer_id for layer in table), default=-1)
        ids: dict[int, int] = {}
        added: list[Layer] = []
        for layer in manifests.tidy_layers(layers):
            there = known.get(layer.name)
            if there is None:
                there = replace(layer, layer_id=following + len(added))
                added.append(there)
            elif there.shape != layer.shape:
                raise RunFolderError(
                    f"Cannot resume {run}: its layer '{layer.name}' is {there.shape}, this model's is "
                    f"{layer.shape}. Record a new run: leave resume= out."
                )
            ids[layer.layer_id] = there.layer_id
        return cls(ids, following - 1, tuple(added))

    @property
    def is_identity(self) -> bool:
        """Whether both count alike."""
        return all(mine == there for mine, there in self.ids.items())

    def translate_layers(self, layers: Sequence[Layer]) -> list[Layer]:
        """Layers that came later, with ids after those of the run's table; from now on they are known."""
        return [replace(layer, layer_id=self._id_of(layer.layer_id)) for layer in layers]

    def _id_of(self, layer_id: int) -> int:
        return self.ids.setdefault(layer_id, 1 + max(self.last, *self.ids.values()))

    def translate(self, record: EventRecord, sums: Floats) -> tuple[EventRecord, Floats]:
        """The event with the ids of the run, ascending."""
        ids = np.array([self.ids[int(layer_id)] for layer_id in record.layer_ids], dtype=np.int32)
        order = np.argsort(ids)
        counts = None if record.counts is None else np.asarray(_fetched(record.counts))[order]
        moved = record._replace(layer_ids=ids[order], numels=record.numels[order], counts=counts)
        return moved, sums[order]

    def translate_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Entries of `run.json` that hold layer ids, with the ids of the run."""
        translated = dict(facts)
        if isinstance(order := facts.get("forward_order"), list):
            translated["forward_order"] = [self.ids.get(one, one) for one in order]
        if isinstance(optimizers := facts.get("optimizers"), list):
            translated["optimizers"] = [
                {**one, "layers": [self.ids.get(of, of) for of in one.get("layers", ())]}
                for one in optimizers
            ]
        return translated


def _fetched(counts: Any) -> NDArray[np.int64]:
    fetched: NDArray[np.int64] = counts() if callable(counts) else counts
    return fetched


@dataclass
class Past:
    """What a rank has on disk before this process writes: its heartbeat and the parts that no segment has."""

    heartbeat: Heartbeat
    tail: list[TailPart] = field(default_factory=list)
    last_seconds: float = 0.0


def past_of(run: Path, rank: int, disk: Disk) -> Past:
    """Look at what the rank has written until now. Only its writer may ask: it tidies up after a crash."""
    heartbeat = known_heartbeat(run, rank, disk) or Heartbeat(rank=rank)
    _undo_unfinished_merge(run, rank, disk)
    gradients, events, overview = (
        PartSet(run, kind, rank, disk=disk) for kind in ("gradients", "events", "overview")
    )
    listed = {part.events: part for part in events.all_allowed()}
    closed = max((part.events.last for part in overview.all_allowed()), default=-1)
    tail: list[TailPart] = []
    for part in gradients.all_allowed():
        if part.events in listed and part.events.first > closed:
            tail.append(TailPart(part.events, int(listed[part.events].rows.sum()), int(part.rows.sum())))
        elif part.events.first > closed:
            tail = []  # what is damaged stays as it is, and so does everything before it
    damaged = max((one.last_event for one in gradients.found_damaged.values()), default=-1)
    tail = [part for part in tail if part.events.first > damaged]
    return Past(heartbeat, tail, max(map(_last_second, listed.values()), default=0.0))


def _undo_unfinished_merge(run: Path, rank: int, disk: Disk) -> None:
    """Remove merged parts whose gradients part never came: what they were made from is all there."""
    names = {kind: disk.names(part_folder(run, kind, rank)) for kind in ("gradients", "events", "overview")}
    ranges = {
        kind: {events for name in of if (events := parse_part_name(name))} for kind, of in names.items()
    }
    for merged in ranges["events"] - ranges["gradients"] - ranges["overview"]:
        sources = {events for events in ranges["gradients"] if merged.covers(events)}
        if sources and sources <= ranges["events"]:
            for kind in ("distributions", "events"):
                disk.remove(part_folder(run, kind, rank) / merged.file_name)


def _last_second(part: PartFile) -> float:
    try:
        seconds = part.read(range(len(part.rows)), ["seconds"]).column("seconds").to_numpy()
    except RefusedPartError:
        raise
    except (DamagedPartError, FileNotFoundError):
        return 0.0
    return float(seconds.max(initial=0.0))


def next_segment(run: Path, own: RankFile, fresh: Segment, disk: Disk) -> Segment:
    """`fresh` with its first numbers: those of the ranks that came before it, else those after the last on disk.

    All ranks of an attempt begin with the same numbers, so that the same moment has one number on each.
    """
    before = sum(segment.is_of(fresh) for segment in own.segments)
    files = [read_rank_file(run, rank, disk) for rank in ranks_of(run, disk) if rank != own.rank]
    for file in files:
        same = [segment for segment in file.segments if segment.is_of(fresh)] if file is not None else []
        if len(same) > before:
            return replace(
                fresh, first_event=same[before].first_event, first_update=same[before].first_update
            )
    event, update = _last_numbers(run, disk)
    return replace(fresh, first_event=event + 1, first_update=update + 1)


def _last_numbers(run: Path, disk: Disk) -> tuple[int, int]:
    """The last event and the last update that any rank has on disk, committed or not; -1 where there is none."""
    last_event, last_update = [-1], [-1]
    for rank in ranks_of(run, disk):
        heartbeat = read_heartbeat(run, rank, disk) or Heartbeat()
        last_event.append(-1 if heartbeat.last_event is None else heartbeat.last_event)
        last_update.append(-1 if heartbeat.last_update is None else heartbeat.last_update)
        for kind in ("gradients", "events"):
            ranges = map(parse_part_name, disk.names(part_folder(run, kind, rank)))
            last_event += [events.last for events in ranges if events is not None]
            parts = PartSet(run, kind, rank, disk=disk).all_allowed()
            last_update += [int(part.ranges["update"].max()) for part in parts if len(part.rows)]
    return max(last_event), max(last_update)
