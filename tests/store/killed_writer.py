"""Records until it is killed: run as `python -m tests.store.killed_writer FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gradviz.store import tail as tails
from tests.store.made_runs import iterate_events, make_layers, start_writer


def main() -> None:
    """Write events with small segments, so that a kill may fall into any kind of write."""
    tails.FAN_IN, tails.SEGMENT_EVENTS = 3, 60  # type: ignore[misc]
    layers = make_layers(5)
    writer = start_writer(Path(sys.argv[1]), layers, flush_seconds=0.005)
    for event in iterate_events(layers, 100_000):
        while not writer.put(event):
            time.sleep(0.001)
        if event.event % 8 == 7:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
