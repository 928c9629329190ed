"""`heartbeat-<rank>.json` and the lock: how a run stands."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gradviz.schema import RunState
from gradviz.store.files import Disk
from gradviz.store.locks import is_locked
from gradviz.store.sealed import seal, unseal, whole

SIZE_LIMIT = 2**20
INTERVAL_SECONDS = 5.0  # a heartbeat is rewritten at least this often
SILENT_SECONDS = 60.0  # older than this, and no lock to ask: the writer is gone


@dataclass(slots=True)
class Heartbeat:
    """What the writer says about itself; `written` and `last_event_at` are seconds since the epoch."""

    rank: int = 0
    state: RunState = RunState.LIVE
    reason: str | None = None
    events: int = 0
    last_event: int | None = None
    last_update: int | None = None
    last_event_at: float | None = None
    dropped: int = 0
    errors: int = 0
    last_errors: tuple[str, ...] = ()
    written: float = 0.0
    pid: int = 0
    host: str = ""

    def encode(self) -> bytes:
        """Bytes of the file, stamped with the time and, while the run is live, the process and its host."""
        live = self.state is RunState.LIVE
        self.written = time.time()
        self.pid, self.host = (os.getpid(), socket.gethostname()) if live else (0, "")
        return seal(json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "backslashreplace"))


def file_name(rank: int) -> str:
    """Name of the heartbeat of a rank."""
    return f"heartbeat-{rank}.json"


def read_heartbeat(run: Path, rank: int = 0, disk: Disk | None = None) -> Heartbeat | None:
    """Return the heartbeat of a rank; None where there is none or it cannot be understood."""
    try:
        return known_heartbeat(run, rank, disk or Disk())
    except OSError:
        return None


def known_heartbeat(run: Path, rank: int, disk: Disk) -> Heartbeat | None:
    """As `read_heartbeat`, but OSError where the file may be there: who goes on must know what was counted."""
    try:
        return _decode(json.loads(unseal(disk.read(run / file_name(rank), SIZE_LIMIT))))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None


def _decode(fields: Any) -> Heartbeat:
    if not isinstance(fields, dict):
        raise TypeError("a heartbeat is a JSON object")
    return Heartbeat(
        rank=whole(fields.get("rank", 0)),
        state=RunState(fields.get("state", "live")),
        reason=None if fields.get("reason") is None else str(fields["reason"])[:2000],
        events=whole(fields.get("events", 0)),
        last_event=_optional_int(fields.get("last_event")),
        last_update=_optional_int(fields.get("last_update")),
        last_event_at=None if fields.get("last_event_at") is None else float(fields["last_event_at"]),
        dropped=whole(fields.get("dropped", 0)),
        errors=whole(fields.get("errors", 0)),
        last_errors=tuple(str(text)[:2000] for text in fields.get("last_errors", ()))[:10],
        written=float(fields.get("written", 0.0)),
        pid=whole(fields.get("pid", 0)),
        host=str(fields.get("host", "")),
    )


def _optional_int(value: Any) -> int | None:
    return None if value is None else whole(value)


def state_of(run: Path, heartbeat: Heartbeat | None, rank: int = 0) -> RunState:
    """State of a run: what its heartbeat says, unless it says "live" and the writer is gone."""
    if heartbeat is not None and heartbeat.state is not RunState.LIVE:
        return heartbeat.state
    locked = is_locked(run, rank)
    if locked:
        return RunState.LIVE
    elsewhere = heartbeat is not None and heartbeat.host != socket.gethostname()
    if locked is None or elsewhere:  # a lock of another host may be invisible here
        recent = heartbeat is not None and time.time() - heartbeat.written < SILENT_SECONDS
        return RunState.LIVE if recent else RunState.INTERRUPTED
    return RunState.INTERRUPTED
