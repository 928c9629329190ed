"""A run that goes on: a new segment after what is on disk, whatever the process before left behind."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gradviz.errors import RunFolderError, RunNotFoundError
from gradviz.schema import EventRecord, Layer, RunState
from gradviz.store import RunWriter, list_runs, open_run, sample_folder
from gradviz.store import tail as tails
from gradviz.store.heartbeat import read_heartbeat
from tests.store.failing_disk import DyingDisk, WatchedDisk, flush_until_death
from tests.store.made_runs import cut, make_events, make_layers, new_folder, start_writer, write_batch

LAYERS = make_layers(3)


def resume(run: Path, layers: Sequence[Layer] = LAYERS, **options: object) -> RunWriter:
    return start_writer(run.parent, layers, resume=run, **options)


def record(
    writer: RunWriter, count: int, layers: Sequence[Layer] = LAYERS, *, seed: int = 0
) -> list[EventRecord]:
    """Put `count` events, numbered as the writer says, and close it."""
    shift, seconds = writer.first_event, 0.125 * writer.first_event
    events = [
        event._replace(
            event=shift + event.event,
            update=writer.first_update + event.update,
            seconds=seconds + event.seconds,
        )
        for event in make_events(layers, count, seed=seed)
    ]
    assert all(writer.put(event) for event in events)
    assert writer.close() == 0
    return events


def test_a_resumed_run_counts_on(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    assert (writer.first_event, writer.first_update) == (0, 0)
    record(writer, 8)
    again = resume(writer.path)
    assert again.path == writer.path
    assert (again.first_event, again.first_update) == (8, 2)
    run = open_run(writer.path)
    assert run.state is RunState.LIVE
    record(again, 6)
    assert run.events()["event"].tolist() == list(range(14))
    assert run.events()["update"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    assert (run.gaps, run.damaged, run.state) == ([], [], RunState.FINISHED)
    assert run.segments["first_event"].tolist() == [0, 8]
    assert run.segments["first_update"].tolist() == [0, 2]
    assert run.segments["started"].is_monotonic_increasing
    heartbeat = read_heartbeat(writer.path)
    assert heartbeat is not None
    assert (heartbeat.events, heartbeat.last_event) == (14, 13)
    assert list_runs(tmp_path)[0].events == 14


def test_a_window_that_was_cut_off_is_not_continued(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    record(writer, 6)  # a window, a reset and a micro-step of the next
    assert resume(writer.path).first_update == 2


def test_seconds_and_counts_go_on(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    writer.put(make_events(LAYERS, 1)[0])
    writer.put(make_events(LAYERS, 1)[0])  # twice: dropped
    writer.close()
    again = resume(writer.path)
    assert abs(again.began - writer.began) < 0.1  # `created` is kept in whole milliseconds
    again.put(make_events(LAYERS, 1)[0]._replace(event=0))  # a number of the past: dropped
    assert again.close() == 1
    run = open_run(writer.path)
    assert (run.dropped, run.last_event) == (2, 0)


def test_the_clock_never_goes_back(tmp_path: Path) -> None:
    """Also where `created` lies in the future, as on a machine whose clock was wrong."""
    writer = start_writer(tmp_path, LAYERS)
    writer.put(make_events(LAYERS, 1)[0]._replace(seconds=5_000.0))
    writer.close()
    assert writer.began - resume(writer.path).began == pytest.approx(5_000, abs=60)


def test_layers_are_matched_by_name(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    before = record(writer, 4)
    turned = [
        Layer(0, "new.bias", (9,), 9, "float32", "Linear", True),
        *(Layer(1 + i, one.name, one.shape, one.numel, *["float32", "Linear", True]) for i, one in
          enumerate(reversed(LAYERS))),
    ]  # fmt: skip
    again = resume(writer.path, turned)
    again.describe(forward_order=[3, 2, 1, 0], optimizers=[{"class": "SGD", "layers": [0, 3]}])
    after = record(again, 4, turned, seed=1)
    run = open_run(writer.path)
    assert run.layers["layer"].tolist() == [*(layer.name for layer in LAYERS), "new.bias"]
    assert run.metadata["optimizers"][0]["layers"] == [3, 0]
    rows = run.gradients(layers=["layer_0.weight", "new.bias"], phases="update")
    sums = [np.asarray(before[3].sums)[0], np.asarray(after[3].sums)[3], np.asarray(after[3].sums)[0]]
    gone = np.array([one[3] < 0 for one in sums])  # no gradient
    expected = np.where(gone, np.nan, np.sqrt([one[1] for one in sums]))
    np.testing.assert_allclose(rows["l2"], expected, rtol=1e-6)


def test_a_layer_of_another_shape_is_refused(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    record(writer, 4)
    other = [Layer(0, "layer_1.weight", (3,), 3, "float32", "Linear", True)]
    with pytest.raises(
        RunFolderError, match=r"its layer 'layer_1.weight' is \(101,\), this model's is \(3,\)"
    ):
        resume(writer.path, other)
    assert open_run(writer.path).state is RunState.FINISHED


def test_a_run_that_is_being_recorded_is_refused(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    with pytest.raises(RunFolderError, match="another process is recording rank 0 of it"):
        resume(writer.path)
    record(writer, 4)
    record(resume(writer.path), 4)
    assert open_run(writer.path).last_event == 7


def test_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="No run at"):
        resume(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """It has no file of its ranks."""
    old = next(path for path in sorted(sample_folder().iterdir()) if (path / "run.json").exists())
    run = Path(shutil.copytree(old, tmp_path / "old"))
    (run / "rank-0.json").unlink(missing_ok=True)
    before = open_run(run)
    last, (_, update), table = before.last_event, before.updates or (0, 0), before.layers
    layers = [Layer(*row) for row in table[["layer_id", "layer", "shape", "numel", "dtype", "module_type",
                                            "trainable"]].itertuples(index=False)]  # fmt: skip
    layers.sort(key=lambda layer: layer.layer_id)
    assert len(before.segments) == 1
    again = resume(run, layers)
    assert (again.first_event, again.first_update) == ((last or 0) + 1, update + 1)
    record(again, 4, layers)
    run_now = open_run(run)
    assert (run_now.segments["first_event"].tolist(), run_now.gaps) == ([0, again.first_event], before.gaps)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 24)


def crash(parent: Path, disk: WatchedDisk) -> list[EventRecord]:
    return flush_until_death(parent, LAYERS, cut(make_events(LAYERS, 44), [4] * 11), disk)


def go_on_after_death(tmp_path: Path, stride: int) -> None:
    disk = WatchedDisk()
    crash(tmp_path / "whole", disk)
    for at in range(1, len(disk.calls) + 1, stride):
        for late in (False, True):
            parent = tmp_path / f"{at}-{late}"
            acknowledged = len(crash(parent, DyingDisk(at, late=late)))
            where = f"{'after' if late else 'before'} call {at}: {disk.calls[at - 1]}"
            check_goes_on(parent / "run", acknowledged, where)
            shutil.rmtree(parent)


def check_goes_on(path: Path, acknowledged: int, where: str) -> None:
    """Everything acknowledged is there, and 40 more events after it, merged, none twice."""
    again = resume(path)
    first = again.first_event
    assert first - acknowledged in (0, 4), where
    record(again, 40)
    run = open_run(path)
    events = run.events()["event"].tolist()
    assert events[-40:] == list(range(first, first + 40)), where
    assert events[:-40] == list(range(len(events) - 40)), where
    assert len(events) - 40 >= acknowledged, where
    rows = run.gradients()
    assert rows.groupby("layer", observed=False)["event"].apply(list).tolist() == [events] * 3, where
    assert run.damaged == run.verify() == [], where
    assert run.gaps == ([] if len(events) == first + 40 else [(first - 4, first - 1)]), where
    finite = rows[(rows["phase"] == "update") & np.isfinite(rows["l2"])]
    assert run.overview()["count"].sum() == len(finite), where


@pytest.mark.usefixtures("small_segments")
def test_a_run_goes_on_after_death_at_some_calls(tmp_path: Path) -> None:
    go_on_after_death(tmp_path, 41)


@pytest.mark.soak
@pytest.mark.usefixtures("small_segments")
def test_a_run_goes_on_after_death_at_every_call(tmp_path: Path) -> None:
    go_on_after_death(tmp_path, 1)


def test_many_segments_stay_a_few_files(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, LAYERS)
    record(writer, 4)
    for _ in range(8):
        record(resume(writer.path), 4)
    run = open_run(writer.path)
    assert run.events()["event"].tolist() == list(range(36))
    assert len(run.segments) == 9
    assert len(list((writer.path / "gradients" / "rank=0").iterdir())) == 9  # each is sealed at its end


def test_damage_outlives_a_resumed_run(tmp_path: Path) -> None:
    """A damaged part is not merged away."""
    folder = new_folder(tmp_path, LAYERS)
    for batch in cut(make_events(LAYERS, 20), [4] * 5):
        write_batch(folder, batch)
    folder.write_heartbeat()
    part = sorted((folder.run / "events" / "rank=0").iterdir())[2]
    part.write_bytes(part.read_bytes()[:-100])
    record(resume(folder.run), 4)
    run = open_run(folder.run)
    assert [one.path.name for one in run.damaged] == [part.name]
    assert run.gradients()["event"].nunique() == 24
