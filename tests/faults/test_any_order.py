"""Recording, flushing, crashing, going on, merging and new layers in any order, against a plain list."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gradviz.schema import EventRecord
from gradviz.store import RunWriter, open_run
from gradviz.store import tail as tails
from gradviz.store.launches import Launch
from tests.faults.faulty_disk import FaultyDisk, PowerCut, Way
from tests.faults.recording import close, start, tick
from tests.store.made_runs import make_events, make_layers
from tests.store.test_round_trip import expected_rows

# a process that died has closed none of its files
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

LAYERS = make_layers(6)
RANKS = 2


class Rank:
    """A process of the training: its writer while it lives, what it has put, and the list that its rank must be."""

    def __init__(self) -> None:
        self.writer: RunWriter | None = None
        self.disk = FaultyDisk()
        self.next_event = 0
        self.waiting: list[EventRecord] = []
        self.acknowledged: list[EventRecord] = []
        self.maybe: list[
            EventRecord
        ] = []  # under way when the process died: all of them are there, or none is

    def settle(self) -> None:
        """What was under way is looked up once: from then on it is there or it is not."""
        self.acknowledged += self.waiting
        self.waiting = []


class Recording(RuleBasedStateMachine):
    """Two ranks that write into one run."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.run: Path | None = None
        self.ranks = [Rank() for _ in range(RANKS)]
        self.layers = 2
        self.restart = 0

    def teardown(self) -> None:
        for rank in self.ranks:
            if rank.writer is not None:
                close(rank.writer)
        shutil.rmtree(self.folder)

    def alive(self, number: int) -> Rank:
        """The rank, with a process: a new run, or one that goes on."""
        rank = self.ranks[number]
        if rank.writer is None:
            rank.disk = FaultyDisk()
            launch = Launch(number, RANKS, self.restart, "key")
            self.restart += 1
            resume = {} if self.run is None else {"resume": self.run}
            rank.writer = start(self.folder, LAYERS[: self.layers], rank.disk, launch=launch, **resume)
            self.run = rank.writer.path
            rank.next_event = rank.writer.first_event
        return rank

    @rule(number=st.integers(0, RANKS - 1), count=st.integers(1, 9), seed=st.integers(0, 3))
    def record(self, number: int, count: int, seed: int) -> None:
        """Put some events, of the layers that there are."""
        rank = self.alive(number)
        assert rank.writer is not None
        for event in make_events(LAYERS[: self.layers], count, seed=seed, first=rank.next_event):
            assert rank.writer.put(event)
            rank.waiting.append(event)
        rank.next_event += count

    @rule(number=st.integers(0, RANKS - 1))
    def flush(self, number: int) -> None:
        """What waits is written, and merged where it is due."""
        rank = self.alive(number)
        assert rank.writer is not None
        tick(rank.writer)
        assert rank.writer.dropped == 0
        rank.settle()

    @precondition(lambda self: self.layers < len(LAYERS))
    @rule(number=st.integers(0, RANKS - 1))
    def add_layer(self, number: int) -> None:
        """The model of every process grows."""
        self.layers += 1
        for rank in self.ranks:
            if rank.writer is not None:
                rank.writer.add_layers(LAYERS[self.layers - 1 : self.layers])

    @rule(number=st.integers(0, RANKS - 1), at=st.integers(1, 60), late=st.booleans())
    def crash(self, number: int, at: int, late: bool) -> None:
        """The process dies in the middle of a flush or a merge, or, where it makes fewer calls, right after."""
        rank = self.ranks[number]
        if rank.writer is None:
            return
        rank.disk.at, rank.disk.way = at, Way.DIE_LATE if late else Way.DIE
        rank.disk.arm()
        try:
            tick(rank.writer)
            rank.settle()
        except PowerCut:
            pass
        rank.disk.dead = True
        close(rank.writer)
        rank.writer, rank.maybe, rank.waiting = None, rank.waiting, []
        self.look_up(number)

    def look_up(self, number: int) -> None:
        """What was under way is there or not: from now on it must stay so."""
        rank = self.ranks[number]
        assert self.run is not None
        shown = open_run(self.run, rank=number).events()["event"].tolist()
        there = [event for event in rank.maybe if event.event in shown]
        assert there in ([], rank.maybe)
        rank.acknowledged, rank.maybe = [*rank.acknowledged, *there], []

    @rule(number=st.integers(0, RANKS - 1))
    def close(self, number: int) -> None:
        """The process ends: all is written and merged into a segment."""
        rank = self.ranks[number]
        if rank.writer is not None:
            assert close(rank.writer) == 0
            rank.writer = None
            rank.settle()

    @invariant()
    def what_is_read_is_what_was_acknowledged(self) -> None:
        """In order, each number, nothing else."""
        for number, rank in enumerate(self.ranks):
            if self.run is None or number not in open_run(self.run).ranks:
                assert not rank.acknowledged
                continue
            run = open_run(self.run, rank=number)
            assert run.damaged == []
            assert run.events()["event"].tolist() == [event.event for event in rank.acknowledged]
            if rank.acknowledged:
                expected = expected_rows(rank.acknowledged, LAYERS)
                got = run.gradients().astype({"layer": object, "phase": object})
                pd.testing.assert_frame_equal(got, expected, check_dtype=False, rtol=0, atol=0)
            assert np.diff(run.segments["first_event"]).min(initial=0) >= 0


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 24)
    monkeypatch.setattr("threading.excepthook", lambda died: None)  # a process that dies says nothing
    return


def explore(examples: int, steps: int) -> None:
    """Try that many orders of that many steps."""
    run_state_machine_as_test(
        Recording,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), derandomize=examples < 20,
        ),
    )  # fmt: skip


def test_some_orders() -> None:
    explore(3, 10)


@pytest.mark.soak
def test_many_orders() -> None:
    explore(40, 30)
