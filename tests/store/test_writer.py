"""The writer's thread: bounded, silent towards the training, honest about what it lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from gradviz.schema import SUMS_WIDTH, EventRecord, RunState
from gradviz.store import open_run
from gradviz.store.files import Disk
from gradviz.store.heartbeat import read_heartbeat
from gradviz.store.inbox import Inbox
from tests.store.made_runs import NEVER, make_events, make_layers, start_writer, wait_for

LAYERS = make_layers(3)


def test_what_is_put_is_read(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS, accumulation_steps=2, model_class="Net", torch_version="2")
    assert all(writer.put(event) for event in make_events(LAYERS, 20))
    writer.describe(forward_order=[2, 0, 1])
    assert writer.close() == 0
    run = open_run(writer.path)
    assert (run.state, run.name, run.dropped, run.last_event) == (RunState.FINISHED, "made", 0, 19)
    assert run.layers["layer"].tolist() == ["layer_2.weight", "layer_0.weight", "layer_1.weight"]
    assert run.layers["position"].tolist() == [0, 1, 2]
    assert run.metadata["accumulation_steps"] == 2
    assert run.metadata["model_class"] == "Net"
    rows = run.gradients()
    assert rows["layer"].unique().tolist() == run.layers["layer"].tolist()
    assert rows["layer"].cat.codes.is_monotonic_increasing
    events = run.events()
    assert events["loss"].dropna().tolist() == [e for e in range(20) if e % 4 in (1, 2)]
    assert events["tokens"].count() == 10
    assert events["loss_reduction"].isna().all()


def test_closing_twice_keeps_the_first_state(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    writer.close(RunState.CRASHED, reason="ValueError")
    assert writer.close() == 0
    heartbeat = read_heartbeat(writer.path)
    assert heartbeat is not None
    assert (heartbeat.state, heartbeat.reason) == (RunState.CRASHED, "ValueError")
    assert not writer.put(make_events(LAYERS, 1)[0])
    assert writer.dropped == 1


def test_an_empty_run_opens(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, [])
    for _ in range(2):
        run = open_run(writer.path)
        assert run.gradients().empty
        assert run.events().empty
        assert run.overview().empty
        assert run.layers.empty
        assert (run.updates, run.last_event, run.gaps, run.damaged) == (None, None, [], [])
        writer.close()


def test_events_flow_while_the_run_is_live(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.01)
    run = open_run(writer.path)
    seen = {run.fingerprint()}
    for event in make_events(LAYERS, 8):
        writer.put(event)
        wait_for(lambda expected=event.event: run.last_event == expected)
        seen.add(run.fingerprint())
        assert run.state is RunState.LIVE
        assert run.gradients()["event"].max() == event.event
    assert len(seen) == 9
    writer.close()
    assert run.state is RunState.FINISHED


def test_a_reader_keeps_up_with_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradviz.store.tail.FAN_IN", 2)
    writer = start_writer(tmp_path, LAYERS, flush_seconds=0.001)
    run = open_run(writer.path)
    events = make_events(LAYERS, 300)
    for at, event in enumerate(events):
        writer.put(event)
        if at % 10 == 9:
            rows = run.gradients(columns=["event", "layer"])
            assert rows.groupby("layer", observed=False)["event"].apply(lambda seen: seen.tolist()).map(
                lambda seen: seen == list(range(len(seen)))
            ).all()  # fmt: skip
    assert writer.close() == 0
    assert len(run.gradients()) == 900


def test_layers_can_be_added(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS[:2], flush_seconds=0.01)
    run = open_run(writer.path)
    for event in make_events(LAYERS[:2], 4):
        writer.put(event)
    wait_for(lambda: run.last_event == 3)
    assert len(run.gradients()) == 8
    writer.add_layers([LAYERS[2], LAYERS[0]])
    for event in make_events(LAYERS, 4, first=4):
        writer.put(event)
    wait_for(lambda: run.last_event == 7)
    rows = run.gradients()
    assert rows.groupby("layer", observed=False)["event"].nunique().tolist() == [8, 8, 4]
    assert run.layers["layer"].tolist() == [layer.name for layer in LAYERS]
    assert writer.close() == 0
    assert (
        sorted(pd.read_parquet(writer.path / "gradients")["layer"].unique()) == run.layers["layer"].tolist()
    )


def test_a_full_queue_drops_the_newest_and_counts(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS, inbox=Inbox(max_events=10))
    taken = [writer.put(event) for event in make_events(LAYERS, 15)]
    assert taken == [True] * 10 + [False] * 5
    assert writer.dropped == 5
    assert writer.close() == 5
    run = open_run(writer.path)
    assert (run.last_event, run.dropped) == (9, 5)


def test_the_queue_is_bounded_by_bytes() -> None:
    inbox = Inbox(max_bytes=5_000)
    taken = [inbox.put(event) for event in make_events(LAYERS, 10)]
    assert taken == [True] * 2 + [False] * 8
    assert len(inbox.take().records) == 2
    assert inbox.put(make_events(LAYERS, 1)[0])


def test_sums_and_scalars_are_fetched_on_the_writers_thread(tmp_path: Path) -> None:
    threads = set()

    def fetch() -> np.ndarray:
        threads.add(threading.current_thread().name)
        return np.ones((3, SUMS_WIDTH))

    def number() -> float:
        threads.add(threading.current_thread().name)
        return 2.5

    writer = start_writer(tmp_path, LAYERS)
    record = make_events(LAYERS, 2)[1]._replace(sums=fetch, scalars={"loss": number, "bad": lambda: 1 / 0})
    writer.put(record)
    assert writer.close() == 0
    assert threads == {"gradviz-writer"}
    assert open_run(writer.path).events()["loss"].tolist() == [2.5]


def bad_records() -> Iterator[EventRecord]:
    good = make_events(LAYERS, 1)[0]
    yield good._replace(sums=lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    yield good._replace(sums=np.ones((2, SUMS_WIDTH)))
    yield good._replace(layer_ids=np.array([0, 1, 9], dtype=np.int32))
    yield good._replace(layer_ids=np.array([2, 1, 0], dtype=np.int32))


@pytest.mark.parametrize("bad", list(bad_records()), ids=["raises", "shape", "unknown layer", "order"])
def test_an_event_that_cannot_be_used_costs_only_itself(tmp_path: Path, bad: EventRecord) -> None:
    writer = start_writer(tmp_path, LAYERS)
    for event in make_events(LAYERS, 5):
        writer.put(bad._replace(event=2) if event.event == 2 else event)
    writer.put(make_events(LAYERS, 1)[0])  # an event that was there already
    assert writer.close() == 2
    run = open_run(writer.path)
    assert run.events()["event"].tolist() == [0, 1, 3, 4]
    assert run.gaps == [(2, 2)]
    heartbeat = read_heartbeat(writer.path)
    assert heartbeat is not None
    assert heartbeat.errors == 2
    assert "event 2 was dropped" in " ".join(heartbeat.last_errors)


def test_a_window_that_never_ends_is_recorded(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    writer.put(make_events(LAYERS, 2)[1]._replace(micro_step=40_000))
    assert writer.close() == 0
    assert open_run(writer.path).gradients()["micro_step"].tolist() == [32_767] * 3


def test_logged_scalars_of_any_name(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    names = {"phase": 1.0, "a\0b": 2.0, "": 3.0, "x" * 1000: 4.0, "\ud800": 5.0, "loss_elements": 6.0}
    writer.put(make_events(LAYERS, 1)[0]._replace(scalars=names))
    assert writer.close() == 0
    events = open_run(writer.path).events().iloc[0]
    assert (events["phase_"], events["a\\x00b"], events["_"], events["\\ud800"]) == (1.0, 2.0, 3.0, 5.0)
    assert events["loss_elements"] == 6


def test_noted_errors_are_counted_and_the_last_kept(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    for number in range(20):
        writer.note_error(f"error {number}")
    writer.close()
    heartbeat = read_heartbeat(writer.path)
    assert heartbeat is not None
    assert heartbeat.errors == 20
    assert heartbeat.last_errors[-1] == "error 19"
    assert len(heartbeat.last_errors) == 5


@pytest.mark.parametrize(
    "name", ["../../etc", "", "a\0b", "🙂", "x" * 100_000, "\ud800", "a/b\\c", ".", "con\n"]
)
def test_hostile_names_stay_inside(tmp_path: Path, name: str) -> None:
    from gradviz.store import RunWriter

    parent = tmp_path / "runs"
    writer = RunWriter.create(parent, name, make_layers(1), flush_seconds=NEVER)
    writer.close()
    assert writer.path.parent == parent
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert len(open_run(writer.path).name) <= 512


def test_the_default_folder_is_ignored_by_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADVIZ_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    from gradviz.store import default_folder

    start_writer(default_folder(), LAYERS).close()
    assert (tmp_path / "gradviz_runs" / ".gitignore").read_text() == "*\n"


def test_what_arrives_during_a_flush_waits_for_the_next(tmp_path: Path) -> None:
    """A training faster than the disk must not be given parts of an event or two, without end."""
    events = iter(make_events(LAYERS, 200))
    writer = start_writer(tmp_path, LAYERS, flush_seconds=NEVER)

    class FastTraining(Disk):
        def open_new(self, path: Path) -> BinaryIO:
            for _ in range(2):
                writer.put(next(events))
            return super().open_new(path)

    for _ in range(10):
        writer.put(next(events))
    writer._session._folder.disk = FastTraining()
    writer._session._flush()
    assert [path.name for path in writer.path.glob("gradients/*/part-*")] == [
        "part-000000000000-000000000009.parquet"
    ]
    writer._session._folder.disk = Disk()
    assert writer.close() == 0
    assert len(open_run(writer.path).events()) > 10
