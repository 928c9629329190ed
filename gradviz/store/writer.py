"""`RunWriter`: what the recorder holds. Everything that touches a file happens on its writer's thread."""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gradviz.errors import RunFolderError
from gradviz.schema import EventRecord, Layer, RunState
from gradviz.store import manifest as manifests
from gradviz.store.files import Disk
from gradviz.store.heartbeat import release_lock, take_lock
from gradviz.store.inbox import Inbox
from gradviz.store.names import folder_name
from gradviz.store.parts import part_folder
from gradviz.store.places import DEFAULT_NAME, default_folder
from gradviz.store.rank_folder import RankFolder
from gradviz.store.session import Session

PART_KINDS = ("events", "gradients", "overview")


class RunWriter:
    """Writes one rank of one run. `put` never waits, never raises and touches no file.

    Make one with `RunWriter.create`. A writer that is garbage collected without `close` is closed by
    its own thread.
    """

    def __init__(self, folder: RankFolder, *, flush_seconds: float, lock: int | None,
                 on_tick: Callable[[], None] | None, inbox: Inbox | None = None) -> None:  # fmt: skip
        self.path = folder.run
        self._pid = os.getpid()
        self._inbox = Inbox() if inbox is None else inbox
        self._session = Session(folder, self._inbox, flush_seconds, lock, on_tick)
        self._session.start(weakref.ref(self))

    @classmethod
    def create(
        cls,
        parent: Path,
        name: str,
        layers: Sequence[Layer],
        *,
        accumulation_steps: int | None = None,
        every: int = 1,
        model_class: str = "",
        torch_version: str = "",
        rank: int = 0,
        flush_seconds: float = 2.0,
        on_tick: Callable[[], None] | None = None,
        durable: bool = True,
        disk: Disk | None = None,
        inbox: Inbox | None = None,
    ) -> RunWriter:
        """Create the run folder `<parent>/<YYYYMMDD-HHMMSS>-<name>-<4 hex>` and start its writer's thread.

        Args:
            parent: folder of runs; made when missing.
            name: any text; kept in `run.json`, made safe in the folder's name.
            layers: the layers known at the start.
            accumulation_steps: what the user declared, kept for comparison only.
            every: each `every`-th window is recorded.
            model_class, torch_version: kept in `run.json`.
            rank: number of this process in a distributed run.
            flush_seconds: at most so much is lost by kill -9.
            on_tick: called once a flush on the writer's thread. It must not hold the writer strongly.
            durable: force each part to the device (fsync).
            disk, inbox: the file system and the queue; others in tests.

        Raises:
            RunFolderError: the folder cannot be created.
        """
        disk = disk or Disk()
        facts = {"accumulation_steps": accumulation_steps, "every": every, "model_class": str(model_class),
                 "torch_version": str(torch_version), "flush_seconds": flush_seconds}  # fmt: skip
        manifest = manifests.compose(name, layers, **facts)
        try:
            run = _make_run_folder(disk, Path(parent), name)
            folder = RankFolder(run, rank, manifest, layers, disk=disk, durable=durable)
            lock = _begin(folder)
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"Cannot record into {Path(parent).absolute()}: {error}. "
                "Choose another folder with run_dir=... or $GRADVIZ_DIR."
            ) from error
        return cls(folder, flush_seconds=flush_seconds, lock=lock, on_tick=on_tick, inbox=inbox)

    def put(self, event: EventRecord) -> bool:
        """Queue one event; False when it was dropped (and counted)."""
        return os.getpid() == self._pid and self._inbox.put(event)

    def add_layers(self, layers: Sequence[Layer]) -> None:
        """Append layers to the run's table; events that use them come after this call."""
        if os.getpid() == self._pid:
            self._inbox.add_layers(layers)

    def describe(self, **facts: Any) -> None:
        """Add entries to `run.json` (JSON values): `forward_order`, `optimizers`, ...; a later one wins."""
        if os.getpid() == self._pid:
            self._inbox.describe(facts)

    def note_error(self, text: str) -> None:
        """Keep an error's text in the run: the last few are shown, all are counted."""
        if os.getpid() == self._pid:
            self._session.note(text)

    @property
    def dropped(self) -> int:
        """Events that were not written: the queue was full or the disk failed."""
        return self._inbox.dropped

    def close(
        self, state: RunState = RunState.FINISHED, *, reason: str | None = None, timeout: float = 10.0
    ) -> int:
        """Write what is queued, merge, say how the run ended; returns the events not written.

        Idempotent: the first state stays. Returns after `timeout` seconds even when the disk hangs.
        """
        if os.getpid() != self._pid:
            return 0
        self._session.request_close(state, reason, timeout)
        if threading.current_thread() is not self._session.thread:
            self._session.join(timeout)
        return self._session.not_written()


def _begin(folder: RankFolder) -> int | None:
    """Make the folders of the parts, lock the rank, write `run.json` and the first heartbeat; the lock."""
    for kind in PART_KINDS:
        folder.disk.make_folder(part_folder(folder.run, kind, folder.rank), parents=True)
    lock = take_lock(folder.run, folder.rank)
    try:
        folder.disk.create(folder.run / manifests.FILE_NAME, manifests.encode(folder.manifest))
        folder.write_heartbeat()
    except BaseException:
        release_lock(lock)
        raise
    return lock


def _make_run_folder(disk: Disk, parent: Path, name: str) -> Path:
    if not parent.exists():
        parent.mkdir(parents=True, exist_ok=True)
        if parent.name == DEFAULT_NAME or parent == default_folder():
            disk.create(parent / ".gitignore", b"*\n")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for _ in range(100):
        run = parent / f"{stamp}-{folder_name(name)}-{secrets.token_hex(2)}"
        try:
            disk.make_folder(run)
        except FileExistsError:
            if not parent.is_dir():
                raise
            continue
        return run
    raise FileExistsError(f"100 folders like {run.name} exist")
