"""Rows in are rows out, in any batching, through flushes and merges."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradviz.schema import NONFINITE, EventRecord, Layer, Phase
from gradviz.store import Run, open_run
from gradviz.store import tail as tails
from gradviz.store.columns import STATISTICS
from gradviz.store.statistics import fetch_sums, statistics_of
from tests.store.made_runs import cut, make_events, make_layers, write_run


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge early, so that a few hundred events pass through every kind of merge."""
    monkeypatch.setattr(tails, "FAN_IN", 3)
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 40)
    monkeypatch.setattr("gradviz.store.merging.ROW_GROUP_ROWS", 64)
    monkeypatch.setattr("gradviz.store.merging.ROWS_AT_ONCE", 150)  # so that both ways of merging are gone


def expected_rows(events: list[EventRecord], layers: list[Layer]) -> pd.DataFrame:
    """The rows that must come out, one event after the other."""
    names = {layer.layer_id: layer.name for layer in layers}
    frames = []
    for record in events:
        phase = np.full(len(record.layer_ids), record.phase, dtype=np.int8)
        columns = statistics_of(fetch_sums(record).T, record.numels, phase)
        values = {
            name: pd.array(np.where(column.exists, column.values, 0), dtype="Int64").astype("Int64")
            if "nonfinite" in name
            else np.where(column.exists, column.values, np.nan).astype(np.float32)
            for name, column in columns.items()
        }
        frame = pd.DataFrame(values)
        for name in ("nonfinite", "micro_nonfinite"):
            frame.loc[~columns[name].exists, name] = pd.NA
        frame.insert(0, "layer", [names[i] for i in record.layer_ids])
        frame.insert(0, "phase", record.phase.name.lower())
        frame.insert(0, "micro_step", record.micro_step)
        frame.insert(0, "update", record.update)
        frame.insert(0, "event", record.event)
        frames.append(frame)
    rows = pd.concat(frames)
    order = rows["layer"].map({layer.name: at for at, layer in enumerate(layers)})
    return (
        rows.assign(order=order).sort_values(["order", "event"]).drop(columns="order").reset_index(drop=True)
    )


def assert_holds(run: Run, events: list[EventRecord], layers: list[Layer]) -> None:
    got = run.gradients()
    assert list(got["layer"].cat.categories) == [layer.name for layer in layers]
    got = got.astype({"layer": object, "phase": object})
    pd.testing.assert_frame_equal(got, expected_rows(events, layers), check_dtype=False, rtol=0, atol=0)
    assert run.events()["event"].tolist() == [record.event for record in events]
    assert run.damaged == []


lengths = st.lists(st.integers(1, 30), max_size=30)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=lengths, count=st.integers(1, 100), final=st.booleans(), seed=st.integers(0, 99))
def test_rows_survive_any_batching(lengths: list[int], count: int, final: bool, seed: int) -> None:
    layers = make_layers(7)
    events = make_events(layers, count, seed=seed)
    with tempfile.TemporaryDirectory() as parent:
        run = open_run(write_run(Path(parent), layers, cut(events, lengths), final=final))
        assert_holds(run, events, layers)
        assert run.gaps == []
        assert run.last_event == count - 1
        assert run.updates == (0, (count - 1) // 4)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=lengths, seed=st.integers(0, 99))
def test_ragged_events_survive(lengths: list[int], seed: int) -> None:
    """Events of some layers only, and some event numbers that were dropped."""
    layers = make_layers(6)
    rng = np.random.default_rng(seed)
    events = []
    for record in make_events(layers, 70, seed=seed):
        chosen = np.flatnonzero(rng.random(6) < 0.6)
        if rng.random() < 0.9:
            events.append(
                EventRecord(
                    record.event,
                    record.update,
                    record.micro_step,
                    record.phase,
                    record.seconds,
                    record.layer_ids[chosen],
                    record.numels[chosen],
                    fetch_sums(record)[chosen],
                    record.scalars,
                )
            )
    with tempfile.TemporaryDirectory() as parent:
        run = open_run(write_run(Path(parent), layers, cut(events, lengths)))
        assert_holds(run, events, layers)
        missing = set(range(events[-1].event)) - {record.event for record in events}
        assert {e for first, last in run.gaps for e in range(first, last + 1)} == missing


@pytest.mark.parametrize("final", [False, True])
def test_overview_is_the_roll_up_of_all_rows(tmp_path: Path, final: bool) -> None:
    layers = make_layers(5)
    events = make_events(layers, 170)  # two blocks of 16 updates and a part of the third
    run = open_run(write_run(tmp_path, layers, cut(events, [7] * 20), final=final))
    overview = run.overview().set_index(["layer", "block"])
    rows = expected_rows(events, layers)
    rows = rows[rows["nonfinite"].notna()]
    for (layer, block), part in rows.groupby(["layer", rows["update"] // 16]):
        got = overview.loc[(layer, block)]
        updates = part[part["phase"] == "update"]
        sound = updates[updates["nonfinite"] == 0]
        assert got["count"] == len(sound)
        assert got["nonfinite"] == len(updates) - len(sound)
        for name in ("mean_abs", "l2", "max_abs"):
            values = sound[name].astype(np.float64)
            assert got[f"{name}_sum"] == pytest.approx(values.sum(), rel=1e-12)
            np.testing.assert_array_equal(got[f"{name}_min"], values.min() if len(values) else np.nan)
            np.testing.assert_array_equal(got[f"{name}_max"], values.max() if len(values) else np.nan)
        squares = (sound["l2"].astype(np.float64) ** 2).sum()
        assert got["l2_squares_sum"] == pytest.approx(squares, rel=1e-12)
        micro = part[(part["phase"] == "micro_step") & part["micro_mean_abs"].notna()]
        assert got["micro_count"] == len(micro)
        assert got["micro_mean_abs_sum"] == pytest.approx(
            micro["micro_mean_abs"].astype(float).sum(), rel=1e-12
        )
    assert overview.index.get_level_values("layer").categories.tolist() == [layer.name for layer in layers]


def test_queries_are_the_rows_that_a_filter_would_leave(tmp_path: Path) -> None:
    layers = make_layers(9)
    events = make_events(layers, 300)
    run = open_run(write_run(tmp_path, layers, cut(events, [11] * 30), final=False))
    everything = run.gradients()
    chosen = ["layer_7.weight", "layer_2.weight"]
    for updates in [None, (3, 3), (0, 10), (20, 1000), (70, 60)]:
        for phases in [None, "update", ["reset", Phase.MICRO_STEP]]:
            got = run.gradients(
                layers=chosen, updates=updates, phases=phases, columns=["layer", "event", "l2"]
            )
            keep = everything["layer"].isin(chosen)
            if updates:
                keep &= everything["update"].between(*updates)
            if phases == "update":
                keep &= everything["phase"] == "update"
            elif phases:
                keep &= everything["phase"].isin(["reset", "micro_step"])
            wanted = everything.loc[keep, ["event", "layer", "l2"]].reset_index(drop=True)
            pd.testing.assert_frame_equal(got, wanted)
    pd.testing.assert_frame_equal(
        run.events(updates=(5, 9)),
        run.events().query("5 <= update <= 9").reset_index(drop=True),
    )


def test_an_outside_reader_sees_one_tidy_table(tmp_path: Path) -> None:
    layers = make_layers(4)
    events = make_events(layers, 100)
    run = write_run(tmp_path, layers, cut(events, [9] * 9), final=False)
    (run / "gradients" / "rank=0" / ".part-000000000100-000000000101.parquet.tmp").write_bytes(b"half a part")
    table = pd.read_parquet(run / "gradients")
    assert len(table) == 400
    assert set(STATISTICS) < set(table.columns)
    assert sorted(table["layer"].unique()) == [layer.name for layer in layers]
    assert table["rank"].astype(int).unique().tolist() == [0]
    sums = fetch_sums(events[1])
    row = table[(table["event"] == 1) & (table["layer"] == "layer_0.weight")].iloc[0]
    assert pd.isna(row["l2"]) == (sums[0, NONFINITE] != 0)
    assert pd.isna(table.loc[table["phase"] != 3, "zeros"]).all()
    assert len(pd.read_parquet(run / "events")) == 100
