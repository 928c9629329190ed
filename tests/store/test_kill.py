"""kill -9 at random moments: what was readable before is readable after, and the folder opens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradviz.schema import RunState
from gradviz.store import Run, list_runs, open_run
from tests.store.made_runs import make_events, make_layers, wait_for, write_run

LAYERS = make_layers(5)


def kill_at(parent: Path, events: int) -> tuple[Run, int]:
    """Record in another process until `events` are on disk, then kill it; returns what was seen before."""
    command = [sys.executable, "-m", "tests.store.killed_writer", str(parent)]
    child = subprocess.Popen(command, cwd=Path.cwd())
    try:
        wait_for(lambda: bool(list_runs(parent)), 60)
        run = open_run(list_runs(parent)[0].path)
        wait_for(lambda: (run.last_event or 0) >= events, 60)
        assert run.state is RunState.LIVE
        seen = run.last_event or 0
    finally:
        child.kill()
        child.wait()
    return run, seen


def check(run: Run, seen: int, parent: Path) -> None:
    """Every event that was seen is there, in full; so are all before it; nothing is damaged."""
    reopened = open_run(run.path)
    assert reopened.state is RunState.INTERRUPTED
    assert reopened.verify() == []
    assert reopened.gaps == []
    last = reopened.last_event
    assert last is not None
    assert last >= seen
    assert reopened.events()["event"].tolist() == list(range(last + 1))
    truth = open_run(write_run(parent, LAYERS, [make_events(LAYERS, last + 1)]))
    pd.testing.assert_frame_equal(reopened.gradients(), truth.gradients())
    assert len(pd.read_parquet(run.path / "events")) >= last + 1


@pytest.mark.parametrize("events", [1, 50, 333])
def test_kill_loses_nothing_that_was_readable(tmp_path: Path, events: int) -> None:
    run, seen = kill_at(tmp_path / "runs", events)
    check(run, seen, tmp_path)


@pytest.mark.soak
def test_a_hundred_kills(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for number in range(100):
        parent = tmp_path / str(number)
        run, seen = kill_at(parent / "runs", int(chance.integers(700)))
        check(run, seen, parent)
