"""The bounded queue between the training thread and the writer's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradviz.schema import BINS, SUMS_WIDTH, EventRecord, Layer

MAX_BYTES = 64 * 2**20
MAX_EVENTS = 32_768
BATCH_BYTES = 16 * 2**20  # one part takes at most this much; so much waiting wakes the writer early
BATCH_EVENTS = 4_096
RECORD_OVERHEAD = 1_500  # an EventRecord with its arrays' headers and a few scalars


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the writer's thread takes at once: new layers come before the events that use them."""

    records: list[EventRecord]
    layers: list[Layer] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Inbox:
    """Takes events without ever waiting; when it is full the newest event is dropped and counted."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS) -> None:
        self.accepted = 0
        self.dropped = 0
        self._max_bytes, self._max_events = max_bytes, max_events
        self._records: list[EventRecord] = []
        self._layers: list[Layer] = []
        self._facts: dict[str, Any] = {}
        self._bytes = 0
        self._open = True
        # reentrant: a signal handler may close the run while the same thread is in `put`
        self._lock = threading.RLock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, record: EventRecord) -> bool:
        """Queue one event; False when it was dropped."""
        size = _bytes_of(record)
        with self._lock:
            full = self._bytes + size > self._max_bytes and self._records
            if full or not self._open or len(self._records) >= self._max_events:
                self.dropped += 1
                return False
            self._records.append(record)
            self._bytes += size
            self.accepted += 1
            # rings once, as the line is crossed: the event before this one was not enough
            if self._bytes - size < BATCH_BYTES <= self._bytes or len(self._records) == BATCH_EVENTS:
                self._wake.put(None)
        return True

    def add_layers(self, layers: Sequence[Layer]) -> None:
        """Queue layers that were not there at the start."""
        with self._lock:
            self._layers.extend(layers)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Queue entries of `run.json`; a later one of the same name wins."""
        with self._lock:
            self._facts.update(facts)

    def take(self) -> Delivery:
        """Take the oldest events, as many as one part holds, and everything known about the run."""
        with self._lock:
            count = self._batch_length()
            records, self._records = self._records[:count], self._records[count:]
            layers, self._layers = self._layers, []
            facts, self._facts = self._facts, {}
            self._bytes -= sum(map(_bytes_of, records))
        return Delivery(records, layers, facts)

    def give_back(self, delivery: Delivery) -> None:
        """Take back what is known about the run after a failure; the events of the delivery are lost."""
        with self._lock:
            self._layers = [*delivery.layers, *self._layers]
            self._facts = {**delivery.facts, **self._facts}

    def _batch_length(self) -> int:
        size = 0
        for count, record in enumerate(self._records[:BATCH_EVENTS]):
            size += _bytes_of(record)
            if size > BATCH_BYTES and count:
                return count
        return min(len(self._records), BATCH_EVENTS)

    def shut(self, *, discard: bool = False) -> None:
        """Accept nothing more; with `discard` what waits is dropped and counted."""
        with self._lock:
            self._open = False
            if discard:
                self.lose(len(self._records))
                self._records, self._bytes = [], 0

    def lose(self, events: int) -> None:
        """Count events that were accepted and could not be written."""
        with self._lock:
            self.dropped += events
            self.accepted -= events

    def ring(self) -> None:
        """Wake the writer's thread now."""
        self._wake.put(None)

    def wait(self, seconds: float) -> None:
        """Sleep until something is urgent, at most `seconds`."""
        try:
            self._wake.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return

    def __len__(self) -> int:
        return len(self._records)


def _bytes_of(record: EventRecord) -> int:
    numbers = SUMS_WIDTH + 2 if record.counts is None else SUMS_WIDTH + 2 + BINS
    return RECORD_OVERHEAD + 8 * numbers * len(record.layer_ids)
