"""A callback that takes longer than closing waits: the run ends without it, and whole."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gradviz.schema import RunState
from gradviz.store import open_run
from gradviz.store.callbacks import Callbacks
from gradviz.store.heartbeat import read_heartbeat
from tests.store.made_runs import make_events, make_layers, start_writer

LAYERS = make_layers(3)


class Slow:
    """Returns when it is let go."""

    def __init__(self) -> None:
        self.began, self.let_go, self.over = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> None:
        if not self.began.is_set():
            self.began.set()
            assert self.let_go.wait(60)
            self.over.set()


@pytest.mark.parametrize("at", ["on_tick", "on_end"])
def test_nothing_is_lost_to_a_slow_callback(tmp_path: Path, at: str) -> None:
    slow, ended = Slow(), threading.Event()
    callbacks = Callbacks(on_end=ended.set)._replace(**{at: slow})
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01, callbacks=callbacks)
    events = make_events(LAYERS, 40)
    if at == "on_tick":
        assert slow.began.wait(60)
    for event in events:
        writer.put(event)
    thread = writer._session.thread
    missing = writer.close(timeout=2.0)
    assert not slow.over.is_set(), "closing has waited for the callback"
    assert missing == 0
    run = open_run(writer.path)
    assert (run.state, run.dropped, run.gaps, run.damaged) == (RunState.FINISHED, 0, [], [])
    assert len(run.events()) == 40
    before = read_heartbeat(writer.path)
    slow.let_go.set()
    thread.join(60)
    assert slow.over.is_set()
    assert not ended.is_set(), "what was given up is not called again"
    assert read_heartbeat(writer.path) == before
    assert writer.close() == 0


def test_what_is_raised_at_the_end_is_noted(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("end")

    writer = start_writer(tmp_path, LAYERS, callbacks=Callbacks(on_end=fail))
    assert writer.close() == 0
    beat = read_heartbeat(writer.path)
    assert beat is not None
    assert (beat.state, beat.last_errors) == (RunState.FINISHED, ("on_end: KeyError: 'end'",))
