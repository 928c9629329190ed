"""The parts of one kind that a run has at this moment: listed anew, opened once, damage remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradviz.errors import DamagedPartError, RefusedPartError
from gradviz.store.files import Disk
from gradviz.store.part_files import PartFile, open_part
from gradviz.store.parts import EventRange, parse_part_name, part_folder, uncovered


@dataclass(frozen=True, slots=True)
class DamagedPart:
    """A part, or some of its row groups, that cannot be read: where, why, and which events it held."""

    path: Path
    reason: str
    first_event: int
    last_event: int


@dataclass
class PartSet:
    """Cached footers of one kind of part. `found_damaged` grows as damage is met."""

    run: Path
    kind: str
    rank: int = 0
    found_damaged: dict[str, DamagedPart] = field(default_factory=dict)
    _open: dict[EventRange, PartFile] = field(default_factory=dict)
    _bad: set[EventRange] = field(default_factory=set)
    _refused: dict[EventRange, str] = field(default_factory=dict)
    disk: Disk = field(default_factory=Disk)

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return part_folder(self.run, self.kind, self.rank)

    def names(self) -> list[str]:
        """File names in the folder of this kind."""
        return self.disk.names(self.folder)

    def current(self) -> list[PartFile]:
        """Readable parts in the order of their events; superseded ones are left out.

        A merged part that is damaged does not supersede those it was made from. One that the file system
        refused to read the last time is tried again.
        """
        self._forget_refusals()
        present = {events for name in self.names() if (events := parse_part_name(name)) is not None}
        self._open = {events: part for events, part in self._open.items() if events in present}
        while True:
            wanted = uncovered(present - self._bad)
            if all(self._is_open(events) for events in wanted):
                return [self._open[events] for events in self._without_overlaps(wanted)]

    def _is_open(self, events: EventRange) -> bool:
        if events not in self._open:
            path = self.folder / events.file_name
            try:
                self._open[events] = open_part(path, self.kind, self.disk)
            except DamagedPartError as error:
                self._bad.add(events)
                if isinstance(error, RefusedPartError):
                    self._refused[events] = str(error)
                self.report(path, events, str(error))
                return False
        return True

    def _forget_refusals(self) -> None:
        for reason in self._refused.values():
            self.found_damaged.pop(reason, None)
        self._bad -= self._refused.keys()
        self._refused = {}

    def all_allowed(self) -> list[PartFile]:
        """As `current`; RefusedPartError where the file system does not let one of them be read."""
        parts = self.current()
        for reason in self._refused.values():
            raise RefusedPartError(reason)
        return parts

    def _without_overlaps(self, ranges: Sequence[EventRange]) -> list[EventRange]:
        kept: list[EventRange] = []
        for events in ranges:
            if kept and events.first <= kept[-1].last:
                path = self.folder / events.file_name
                self.report(
                    path, events, f"{path.name}: overlaps {kept[-1].file_name}, which no merge leaves behind"
                )
            else:
                kept.append(events)
        return kept

    def report(self, path: Path, events: EventRange, reason: str) -> None:
        """Remember damage; the same one is listed once."""
        self.found_damaged.setdefault(reason, DamagedPart(path, reason, events.first, events.last))
