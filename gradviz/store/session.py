"""The writer's thread: flushes every few seconds, merges in between, survives a failing disk."""

from __future__ import annotations

import atexit
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gradviz.schema import EventRecord, RunState
from gradviz.store import forks
from gradviz.store.callbacks import Callbacks, Calls, TakenOver
from gradviz.store.distributions import with_counts
from gradviz.store.inbox import Inbox
from gradviz.store.locks import release_lock
from gradviz.store.mirror import Mirror
from gradviz.store.rank_folder import RankFolder
from gradviz.store.statistics import Floats, fetch_sums
from gradviz.store.warning import warn

KEPT_ERRORS = 5
LONGEST_PAUSE = 30.0
EXIT_SECONDS = 10.0
LAST_TRIES = 3  # of the heartbeat that says how the run ended: none comes after it

_open_sessions: set[Session] = set()


class Session:
    """One recording on its way to one folder; shared by the `RunWriter` and its thread."""

    def __init__(self, folder: RankFolder, inbox: Inbox, flush_seconds: float, lock: int | None,
                 callbacks: Callbacks, mirror: Mirror | None = None) -> None:  # fmt: skip
        self._folder, self._inbox, self._flush_seconds = folder, inbox, flush_seconds
        self._lock, self._calls, self._mirror = lock, Calls(callbacks), mirror
        self._generation = forks.generation
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._error_count = 0
        self._warned = False
        self._disabled = False
        self._pause = 0.0
        self._retry_at = 0.0
        self._next_flush = 0.0
        self._merge_at = 0.0
        self._ending: tuple[RunState, str | None] | None = None
        self._deadline = float("inf")
        self.thread = threading.Thread(target=lambda: None)

    def start(self, owner: weakref.ref[object]) -> None:
        """Start the thread; it ends by itself when the owner is gone."""
        _open_sessions.add(self)
        self._start(lambda: self._run(owner))

    def _start(self, work: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=self._work, args=(work,), name="gradviz-writer", daemon=True)
        self.thread.start()

    def note(self, text: str) -> None:
        """Keep an error's text for the heartbeat."""
        self._error_count += 1
        self._errors.append(str(text)[:500])

    def request_close(self, state: RunState, reason: str | None, timeout: float) -> None:
        """Ask the thread to flush and end; only the first call decides the state."""
        if self._ending is None:
            self._deadline = time.monotonic() + timeout
            self._ending = (state, reason)
            self._inbox.shut()
        self._inbox.ring()

    def join(self, timeout: float) -> None:
        """Wait for the thread, not longer than `timeout`; half of it for what others do between two flushes."""
        began = time.monotonic()
        self.thread.join(timeout / 2)
        if self.thread.is_alive() and self._calls.take_over(self.note):
            self._start(self._finish)
        self.thread.join(max(0.0, began + timeout - time.monotonic()))

    def not_written(self) -> int:
        """Events that were put and are not on disk."""
        written = self._folder.heartbeat.events - self._folder.before.events
        return self._inbox.dropped + max(0, self._inbox.accepted - written)

    def close_at_exit(self) -> None:
        """Flush at the interpreter's exit; an exception that ended the program names the state."""
        if forks.generation != self._generation:
            return
        error = getattr(sys, "last_value", None)
        if error is None or hasattr(sys, "ps1"):
            self.request_close(RunState.FINISHED, None, EXIT_SECONDS)
        else:
            state = RunState.STOPPED if isinstance(error, KeyboardInterrupt) else RunState.CRASHED
            self.request_close(state, type(error).__name__, EXIT_SECONDS)
        self.join(
            min(max(self._deadline - time.monotonic(), 0.0), EXIT_SECONDS)
        )  # no second wait after `close`

    def _run(self, owner: weakref.ref[object]) -> None:
        while self._ending is None:
            self._inbox.wait(self._flush_seconds)
            if owner() is None:
                self.request_close(RunState.FINISHED, "the recorder was garbage collected", EXIT_SECONDS)
            self._tick()
        self._finish()

    def _work(self, work: Callable[[], None]) -> None:
        taken_over = False
        try:
            work()
        except TakenOver:
            taken_over = True
        except Exception as error:
            self._disable(f"{type(error).__name__}: {error}")
        finally:
            if not taken_over:
                release_lock(self._lock)
                _open_sessions.discard(self)

    def _tick(self) -> None:
        self._calls.tick(self.note)
        self._flush()
        self._merge(final=False)
        self._beat()

    def _finish(self) -> None:
        self._retry_at = self._merge_at = 0.0
        self._flush()
        self._inbox.shut(discard=True)  # what a failing disk did not take is counted
        state, reason = self._ending or (RunState.FINISHED, None)
        self._folder.heartbeat = replace(self._folder.heartbeat, state=state, reason=reason)
        self._beat(early=True)  # the merge may take longer than anyone waits
        self._merge(final=True)
        self._beat(final=True)
        errors = self._error_count
        self._calls.call("on_end", self.note)  # may take for ever: the run has ended all the same
        if self._error_count > errors:
            self._beat(final=True)

    def _flush(self) -> None:
        """Write what is queued, a part at a time; a batch that fails is dropped, the next try comes later.

        What arrives in the meantime waits for the next flush: else a fast training would be given parts
        of a few events, without end.
        """
        self._next_flush = time.monotonic() + self._flush_seconds
        waiting = len(self._inbox)
        while not self._disabled and time.monotonic() >= self._retry_at:
            delivery = self._inbox.take()
            waiting -= len(delivery.records)
            readable: list[tuple[EventRecord, Floats]] = []
            try:
                self._folder.update_manifest(delivery.layers, delivery.facts)
                readable = self._readable(delivery.records)
                if readable:
                    records, sums = zip(*readable, strict=True)
                    self._folder.write_batch(records, sums)
                    self._calls.call("on_batch", self.note, records, sums)
            except Exception as error:
                self._inbox.lose(len(readable or delivery.records))
                self._inbox.give_back(delivery)
                self._failed(error)
                return
            self._pause = 0.0
            if waiting <= 0:
                return

    def _readable(self, records: list[EventRecord]) -> list[tuple[EventRecord, Floats]]:
        """Events with their sums; one that is not what it should be, or comes twice, is dropped."""
        readable: list[tuple[EventRecord, Floats]] = []
        last = self._folder.heartbeat.last_event
        for record in sorted(records, key=lambda record: record.event):
            try:
                if last is not None and record.event <= last:
                    raise ValueError(f"it comes after event {last}")
                counted = with_counts(record, self.note)
                translated, sums = self._folder.in_this_run(counted, fetch_sums(record))
                self._folder.check_layers(translated)
                readable.append((translated, sums))
                last = record.event
            except Exception as error:
                self._inbox.lose(1)
                self.note(f"event {record.event} was dropped: {type(error).__name__}: {error}")
        return readable

    def _failed(self, error: Exception) -> None:
        self.note(f"{type(error).__name__}: {error}")
        if self._folder.is_gone():
            self._disable("its folder was removed")
            return
        self._pause = min(max(2 * self._pause, self._flush_seconds), LONGEST_PAUSE)
        self._retry_at = time.monotonic() + self._pause
        if not self._warned:
            self._warned = True
            free = self._folder.disk.free_bytes(self._folder.run)
            room = "unknown" if free is None else f"{free / 2**20:,.0f} MiB"
            warn(
                f"gradviz: cannot write to {self._folder.run} ({error}; free space: {room}). "
                "Training goes on; events are dropped and counted until it works again."
            )

    def _disable(self, reason: str) -> None:
        self._disabled = True
        self._inbox.shut(discard=True)
        self.note(reason)
        if self._ending is None:
            self._ending = (RunState.FINISHED, reason)
        warn(f"gradviz: recording into {self._folder.run} has stopped: {reason}. Training goes on.")

    def _merge(self, *, final: bool) -> None:
        """Merge what is due; a flush that becomes due in the meantime goes first. Never fails a flush."""
        if self._disabled or time.monotonic() < max(self._retry_at, self._merge_at):
            return
        try:
            for _ in self._folder.merge(final=final):
                if time.monotonic() >= self._deadline:
                    return
                if not final and time.monotonic() >= self._next_flush:
                    self._flush()
        except Exception as error:  # nothing is lost: the parts stay as they were
            self.note(f"merging: {type(error).__name__}: {error}")
            self._merge_at = time.monotonic() + LONGEST_PAUSE

    def _beat(self, *, final: bool = False, early: bool = False) -> None:
        beat, before = self._folder.heartbeat, self._folder.before
        beat.dropped = before.dropped + self._inbox.dropped
        beat.errors = before.errors + self._error_count
        beat.last_errors = tuple(self._errors) or before.last_errors
        if self._disabled:
            return
        try:
            self._folder.write_heartbeat(durable=final, tries=LAST_TRIES if final else 1)
        except OSError as error:
            if not early:  # else it is said again
                self._failed(error)
        if self._mirror is not None and not early and (reason := self._mirror.update(self.note, final=final)):
            warn(f"gradviz: {reason}. The run is kept in {self._folder.run}.")


@atexit.register
def _close_all() -> None:
    for session in list(_open_sessions):
        session.close_at_exit()
