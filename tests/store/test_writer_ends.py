"""How a writer ends: closed, forgotten, forked, at the interpreter's exit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref
from pathlib import Path
from typing import BinaryIO

import pytest

from gradviz.schema import RunState
from gradviz.store import open_run
from gradviz.store import session as sessions
from gradviz.store.callbacks import Callbacks
from gradviz.store.files import Disk
from gradviz.store.heartbeat import read_heartbeat
from gradviz.store.parts import parse_part_name
from tests.store.made_runs import make_events, make_layers, start_writer, wait_for

LAYERS = make_layers(3)


def test_a_writer_that_is_forgotten_closes_itself(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01)
    path, gone = writer.path, weakref.ref(writer)
    writer.put(make_events(LAYERS, 1)[0])
    gc.disable()
    del writer
    try:
        wait_for(
            lambda: gone() is None
        )  # by reference counts alone; the thread looks for an instant at a time
    finally:
        gc.enable()
    wait_for(lambda: open_run(path).state is not RunState.LIVE)
    heartbeat = read_heartbeat(path)
    assert heartbeat is not None
    assert (heartbeat.state, heartbeat.reason) == (RunState.FINISHED, "the recorder was garbage collected")
    assert open_run(path).last_event == 0


def test_on_tick_may_close_and_may_fail(tmp_path: Path) -> None:
    holder: list[object] = []
    calls: list[int] = []

    def tick() -> None:
        calls.append(1)
        if len(calls) == 3:
            holder[0].close(RunState.SUPERSEDED)  # type: ignore[attr-defined]
        raise KeyError("tick")

    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01, callbacks=Callbacks(on_tick=tick))
    holder.append(writer)
    writer.put(make_events(LAYERS, 1)[0])
    wait_for(lambda: open_run(writer.path).state is RunState.SUPERSEDED)
    assert writer.close() == 0
    holder.clear()


def test_a_forked_child_is_silent(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    writer.put(make_events(LAYERS, 1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: what DataLoader does
        child = os.fork()
    if child == 0:
        silent = not writer.put(make_events(LAYERS, 2)[1]) and writer.close() == 0
        os._exit(0 if silent else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert open_run(writer.path).state is RunState.LIVE
    assert writer.close() == 0
    assert open_run(writer.path).last_event == 0


def test_the_final_merge_gives_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LONGEST_PAUSE", 0.0)
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01)
    run = open_run(writer.path)
    for event in make_events(LAYERS, 3):
        writer.put(event)
        wait_for(lambda expected=event.event: run.last_event == expected)
    writer.close(timeout=0.0)
    wait_for(lambda: run.state is RunState.FINISHED)
    assert len(run.gradients()) == 9


class SlowToMerge(Disk):
    """Waits before it opens a part of several events until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def open_new(self, path: Path) -> BinaryIO:
        events = parse_part_name(path.name.removeprefix(".").removesuffix(".tmp"))
        if events is not None and events.last > events.first:
            assert self.let_go.wait(60)
        return super().open_new(path)


def test_a_merge_that_nobody_waits_for_leaves_the_run_finished(tmp_path: Path) -> None:
    disk = SlowToMerge()
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01, disk=disk)
    run = open_run(writer.path)
    for event in make_events(LAYERS, 3):
        writer.put(event)
        wait_for(lambda expected=event.event: run.last_event == expected)
    assert writer.close(timeout=2.0) == 0
    left = open_run(writer.path)  # as a process that ends now leaves it
    assert (left.state, len(left.gradients()), left.damaged) == (RunState.FINISHED, 9, [])
    disk.let_go.set()
    writer._session.thread.join(60)
    after = open_run(writer.path)
    assert (after.state, len(after.gradients()), after.damaged) == (RunState.FINISHED, 9, [])


SCRIPT = """
import sys, numpy as np
from pathlib import Path
from tests.store.made_runs import make_events, make_layers, start_writer
layers = make_layers(3)
writer = start_writer(Path(sys.argv[1]), layers)
for event in make_events(layers, 10):
    writer.put(event)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "state", "code"),
    [
        ("", RunState.FINISHED, 0),
        ("sys.exit(3)", RunState.FINISHED, 3),
        ("raise ValueError('no')", RunState.CRASHED, 1),
        ("raise KeyboardInterrupt", RunState.STOPPED, -2),
        ("import os; os._exit(4)", RunState.INTERRUPTED, 4),
    ],
)
def test_the_interpreters_exit_flushes(tmp_path: Path, ending: str, state: RunState, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(ending=ending), str(tmp_path)],
        cwd=Path.cwd(),
        capture_output=True,
    )
    assert done.returncode == code, done.stderr.decode()
    run = open_run(next(tmp_path.iterdir()))
    assert run.state is state
    assert len(run.events()) == (0 if state is RunState.INTERRUPTED else 10)
