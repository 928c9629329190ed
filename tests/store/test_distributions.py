"""Distributions: rows in are rows out, through batches, merges, deaths, damage, resumed runs and several ranks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradviz.errors import QueryError
from gradviz.schema import BIN_NAMES, BINS, EventRecord, Layer, Phase
from gradviz.store import Run, open_run
from gradviz.store import tail as tails
from gradviz.store.launches import Launch
from gradviz.store.parts import part_folder
from gradviz.store.query import DISTRIBUTION_COLUMNS
from tests.store.failing_disk import DyingDisk, PowerCut, WatchedDisk
from tests.store.made_runs import (
    cut,
    make_events,
    make_layers,
    merge,
    new_folder,
    start_writer,
    write_batch,
    write_run,
)
from tests.store.test_format import PAGE, read_by_the_page

LAYERS = make_layers(5)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 40)
    monkeypatch.setattr("gradviz.store.merging.ROW_GROUP_ROWS", 16 * 8)  # 8 rows of distributions


def counted_events(
    count: int, *, layers: list[Layer] = LAYERS, seed: int = 0, every: int = 1
) -> list[EventRecord]:
    """`make_events` with counts at every `every`-th update; now and then a layer has no gradient."""
    rng = np.random.default_rng(seed)
    return [
        record._replace(counts=make_counts(rng, len(layers)))
        if record.phase is Phase.UPDATE and record.update % every == 0
        else record
        for record in make_events(layers, count, seed=seed)
    ]


def make_counts(rng: np.random.Generator, layers: int) -> np.ndarray:
    counts = rng.integers(0, 2**40, (layers, BINS)) * (rng.random((layers, BINS)) < 0.2)
    counts[rng.random(layers) < 0.1] = -1
    return counts


def expected_rows(events: list[EventRecord], layers: list[Layer]) -> pd.DataFrame:
    rows = [
        (record.event, record.update, layer.name, *np.asarray(record.counts)[place])
        for place, layer in enumerate(layers)
        for record in events
        if record.counts is not None and np.asarray(record.counts)[place, 0] >= 0
    ]
    return pd.DataFrame(rows, columns=list(DISTRIBUTION_COLUMNS))


def assert_holds(run: Run, events: list[EventRecord], layers: list[Layer] = LAYERS) -> None:
    got = run.distributions()
    assert list(got["layer"].cat.categories) == [layer.name for layer in layers]
    pd.testing.assert_frame_equal(
        got.astype({"layer": object}), expected_rows(events, layers), check_dtype=False
    )
    assert run.damaged == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 30), max_size=30),
    count=st.integers(1, 150),
    every=st.integers(1, 7),
    final=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rows_survive_any_batching(
    lengths: list[int], count: int, every: int, final: bool, seed: int
) -> None:
    events = counted_events(count, seed=seed, every=every)
    with tempfile.TemporaryDirectory() as parent:
        run = open_run(write_run(Path(parent), LAYERS, cut(events, lengths), final=final))
        assert_holds(run, events)
        assert run.gaps == []


def test_parts_are_merged_like_the_gradients(tmp_path: Path) -> None:
    path = write_run(tmp_path, LAYERS, cut(counted_events(200), [4] * 50))
    gradients, distributions = (part_folder(path, kind) for kind in ("gradients", "distributions"))
    names = {part.name for part in distributions.iterdir()}
    assert names == {part.name for part in gradients.iterdir()}
    assert len(names) < 10


def test_a_run_without_them_has_none_and_no_folder(tmp_path: Path) -> None:
    path = write_run(tmp_path, LAYERS, cut(make_events(LAYERS, 60), [10] * 6))
    run = open_run(path)
    assert not (path / "distributions").exists()
    assert not run.has_distributions
    assert run.distributions().empty
    assert list(run.distributions().columns) == list(DISTRIBUTION_COLUMNS)
    assert run.damaged == run.verify() == []


def test_queries_are_the_rows_that_a_filter_would_leave(tmp_path: Path) -> None:
    events = counted_events(300)
    run = open_run(write_run(tmp_path, LAYERS, cut(events, [11] * 30), final=False))
    everything = run.distributions()
    chosen = ["layer_3.weight", "layer_1.weight"]
    got = run.distributions(layers=chosen, updates=(7, 40))
    wanted = everything[everything["layer"].isin(chosen) & everything["update"].between(7, 40)]
    pd.testing.assert_frame_equal(got, wanted.reset_index(drop=True))
    with pytest.raises(QueryError, match="No layer 'nowhere'"):
        run.distributions(layers="nowhere")


def test_any_reader_sees_a_tidy_table(tmp_path: Path) -> None:
    events = counted_events(100)
    path = write_run(tmp_path, LAYERS, cut(events, [9] * 9), final=False)
    table = pd.read_parquet(path / "distributions").sort_values(["layer_id", "event"])
    wanted = expected_rows(events, LAYERS)
    assert table["layer"].tolist() == wanted["layer"].tolist()
    np.testing.assert_array_equal(table[list(BIN_NAMES)], wanted[list(BIN_NAMES)])


def test_a_reader_written_from_the_page_sees_the_same(tmp_path: Path) -> None:
    path = write_run(tmp_path, LAYERS, cut(counted_events(90), [30] * 3), final=False)
    theirs = read_by_the_page(path, "distributions").to_pandas().sort_values(["layer_id", "event"])
    ours = open_run(path).distributions()
    for name in ("event", "update", *BIN_NAMES):
        np.testing.assert_array_equal(theirs[name], ours[name])
    page = PAGE.read_text(encoding="utf-8")
    for name in (*BIN_NAMES[:5], *BIN_NAMES[-2:]):
        assert f"`{name}`" in page


def test_counts_come_from_the_device_on_the_writers_thread(tmp_path: Path) -> None:
    """A callable is called there; one that fails, or gives something else, costs its own rows only."""

    def broken() -> np.ndarray:
        raise RuntimeError("the device is gone")

    events = counted_events(12)
    good = [
        record if record.counts is None else record._replace(counts=lambda of=record.counts: of)
        for record in events
    ]
    good[7] = good[7]._replace(counts=broken)
    good[11] = good[11]._replace(counts=np.zeros((2, BINS), dtype=np.int64))
    writer = start_writer(tmp_path, LAYERS)
    assert all(writer.put(record) for record in good)
    assert writer.close() == 0
    run = open_run(writer.path)
    events[7], events[11] = good[7]._replace(counts=None), good[11]._replace(counts=None)
    assert_holds(run, events)
    assert run.events()["event"].tolist() == list(range(12))
    heartbeat = (writer.path / "heartbeat-0.json").read_text()
    assert "no distributions of event 7: RuntimeError: the device is gone" in heartbeat
    assert "no distributions of event 11:" in heartbeat


def scenario(parent: Path, disk: WatchedDisk, events: list[EventRecord]) -> list[EventRecord]:
    """Flush and merge until the disk dies; returns the events that were acknowledged."""
    acknowledged: list[EventRecord] = []
    folder = new_folder(parent, LAYERS, disk=disk)
    folder.durable = True
    try:
        for batch in cut(events, [4] * 20):
            write_batch(folder, batch)
            acknowledged.extend(batch)
            merge(folder)
        merge(folder, final=True)
    except PowerCut:
        for stream in disk.streams:
            stream.close()
    return acknowledged


def die_at(tmp_path: Path, step: int) -> None:
    events = counted_events(24)
    whole = WatchedDisk()
    scenario(tmp_path / "whole", whole, events)
    for at in range(1, len(whole.calls) + 1, step):
        for late in (False, True):
            parent = tmp_path / f"{at}-{late}"
            acknowledged = scenario(parent, DyingDisk(at, late=late), events)
            run = open_run(parent / "run")
            there = len(run.events())
            assert there in (len(acknowledged), len(acknowledged) + 4)
            assert_holds(run, events[:there])
            assert run.verify() == run.gaps == []


def test_death_at_some_calls(tmp_path: Path) -> None:
    die_at(tmp_path, 41)


@pytest.mark.soak
def test_death_at_every_call(tmp_path: Path) -> None:
    die_at(tmp_path, 1)


def test_flipped_bits_never_change_a_number(tmp_path: Path) -> None:
    events = counted_events(60)
    path = write_run(tmp_path, LAYERS, cut(events, [60]))
    part = next(part_folder(path, "distributions").iterdir())
    content = part.read_bytes()
    wanted = expected_rows(events, LAYERS).astype({"layer": object})
    known = set(map(tuple, wanted.to_numpy().tolist()))
    for place in np.random.default_rng(0).integers(4, len(content), 30):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(place) % 8
        part.write_bytes(bytes(damaged))
        run = open_run(path)
        got = set(map(tuple, run.distributions().astype({"layer": object}).to_numpy().tolist()))
        assert got <= known
        assert got == known or run.damaged
        assert len(run.gradients()) == 60 * len(LAYERS), "the other kinds of parts are not affected"


def launch(rank: int, shards: dict[int, int]) -> Launch:
    return Launch(rank=rank, world_size=2, key="abcd", shards=shards)


def test_shards_add_up_and_replicas_are_counted_once(tmp_path: Path) -> None:
    """Layers 0 and 1 are sharded (100 = 60 + 40 and 101 = 101 + 0 elements), the others replicated."""
    events = [record._replace(counts=None) for record in counted_events(40)]
    rng = np.random.default_rng(5)
    halves: list[list[EventRecord]] = [[], []]
    wanted = []
    for record in events:
        if record.phase is not Phase.UPDATE:
            halves[0].append(record)
            halves[1].append(record)
            continue
        first, second = (rng.integers(0, 1000, (5, BINS)) for _ in range(2))
        first[2:] = second[2:]
        halves[0].append(record._replace(counts=first))
        halves[1].append(record._replace(counts=second))
        wanted.append(record._replace(counts=np.concatenate([first[:1] + second[:1], first[1:]])))
    writers = [
        start_writer(tmp_path, LAYERS, launch=launch(0, {0: 60, 1: 101})),
        start_writer(tmp_path, LAYERS, launch=launch(1, {0: 40})),
    ]
    for writer, half in zip(writers, halves, strict=True):
        assert all(writer.put(record) for record in half)
        assert writer.close() == 0
    assert writers[0].path == writers[1].path
    run = open_run(writers[0].path)
    assert_holds(run, wanted)
    assert_holds(run.of_rank(1), [record for record in halves[1] if record.counts is not None])


def test_a_missing_shard_is_no_row(tmp_path: Path) -> None:
    first = start_writer(tmp_path, LAYERS, launch=launch(0, {0: 60}))
    second = start_writer(tmp_path, LAYERS, launch=launch(1, {0: 40}))
    for record in counted_events(12):
        first.put(record)
        second.put(record if record.event < 8 else record._replace(counts=None))
    first.close()
    second.close()
    got = open_run(first.path).distributions(layers="layer_0.weight")
    assert set(got["event"]) <= {3, 7}


def test_a_resumed_run_goes_on_under_its_own_ids(tmp_path: Path) -> None:
    """The second process registers its layers the other way round."""
    before = counted_events(20)
    writer = start_writer(tmp_path, LAYERS)
    for record in before:
        writer.put(record)
    writer.close()
    turned = [
        Layer(place, layer.name, layer.shape, layer.numel, "float32", "Linear", True)
        for place, layer in enumerate(reversed(LAYERS))
    ]
    again = start_writer(tmp_path, turned, resume=writer.path)
    after = [
        record._replace(event=record.event + again.first_event, update=record.update + again.first_update)
        for record in counted_events(20, layers=turned, seed=9)
    ]
    for record in after:
        again.put(record)
    again.close()
    back = [r if r.counts is None else r._replace(counts=np.asarray(r.counts)[::-1]) for r in after]
    assert_holds(open_run(writer.path), [*before, *back])
