"""Overviews of some columns, and with neighbouring blocks added up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradviz.errors import QueryError
from gradviz.store import Run, open_run, sample_folder
from tests.store.made_runs import make_events, make_layers, new_folder, write_batch

INDEX = ["layer", "block", "first_update", "last_update"]
SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))


@pytest.fixture(params=SAMPLES, ids=lambda path: path.name)
def run(request: pytest.FixtureRequest) -> Run:
    path: Path = request.param
    return open_run(path)


def test_some_columns_are_those_of_all(run: Run) -> None:
    wanted = ["count", "nonfinite", "l2_sum", "l2_max"]
    found = run.overview(columns=wanted)
    pd.testing.assert_frame_equal(found, run.overview()[list(found.columns)])
    assert sorted(found.columns) == sorted([*INDEX, *wanted])


@pytest.mark.parametrize("most", [1, 2, 3, 10_000])
def test_neighbouring_blocks_add_up(run: Run, most: int) -> None:
    whole, found = run.overview(), run.overview(most_blocks=most)
    assert found.groupby("layer", observed=True).size().max() <= most
    first = whole["block"].min()
    stride = -(-(whole["block"].max() - first + 1) // most)
    by = [whole["layer"], first + (whole["block"] - first) // stride * stride]
    expected = whole.drop(columns=["layer", "block"]).groupby(by, observed=True)
    for name in whole.columns.drop(["layer", "block"]):
        if name.endswith(("_min", "first_update")):
            slow = expected[name].min()
        elif name.endswith(("_max", "last_update")):
            slow = expected[name].max()
        else:
            slow = expected[name].agg(lambda values: values.sum(skipna=False))
        np.testing.assert_allclose(found[name].to_numpy(float), slow.to_numpy(float), rtol=1e-12)


@pytest.mark.parametrize("updates", [(0, 0), (5, 40), (17, 17), (90, 10_000), (7, 3)])
def test_some_updates(run: Run, updates: tuple[int, int]) -> None:
    whole = run.overview()
    inside = (whole["last_update"] >= updates[0]) & (whole["first_update"] <= updates[1])
    found = run.overview(updates=updates)
    pd.testing.assert_frame_equal(found, whole[inside].reset_index(drop=True))
    coarse = run.overview(updates=updates, most_blocks=1)
    assert coarse.groupby("layer", observed=True).size().max() == 1 or not inside.any()
    assert coarse["count"].sum() == found["count"].sum()


def test_what_is_kept_is_what_is_read(run: Run) -> None:
    first = run.overview(columns=["count"], most_blocks=2)
    pd.testing.assert_frame_equal(run.overview(columns=["count"], most_blocks=2), first)
    pd.testing.assert_frame_equal(open_run(run.path).overview(columns=["count"], most_blocks=2), first)
    assert not run.overview(columns=["count"], most_blocks=1).equals(run.overview(columns=["nonfinite"]))


def test_an_unknown_column_is_named(run: Run) -> None:
    with pytest.raises(QueryError, match="No column 'l3_sum' in overview"):
        run.overview(columns=["l3_sum"])


@pytest.mark.parametrize("columns", [(), ["loss", "lr"], "loss", ["loss_elements", "never_logged", "event"]])
def test_some_columns_of_the_events_are_those_of_all(run: Run, columns: list[str] | str) -> None:
    whole, asked = run.events(), {columns} if isinstance(columns, str) else {*columns}
    derived = {"loss_is_nan"} if "loss" in asked else set()
    always = {"event", "update", "micro_step", "phase", *([] if run.rank is not None else ["ranks"])}
    kept = [name for name in whole if name in always | asked | derived]
    pd.testing.assert_frame_equal(run.events(columns=columns), whole[kept])


def test_windows_are_those_of_the_events(run: Run) -> None:
    events = run.events()
    real = events.loc[events["phase"] != "reset", "update"]
    assert run.windows == (real.min(), real.max())


def test_gaps_are_found_anew_when_parts_come(tmp_path: Path) -> None:
    layers = make_layers(3)
    events = make_events(layers, 30)
    folder = new_folder(tmp_path, layers)
    write_batch(folder, events[:10])
    run = open_run(folder.run)
    assert run.gaps == []
    write_batch(folder, events[20:])
    assert run.gaps == [(10, 19)]
    assert run.gaps == [(10, 19)]


def test_windows_grow_with_the_run(tmp_path: Path) -> None:
    layers = make_layers(3)
    events = make_events(layers, 40)
    folder = new_folder(tmp_path, layers)
    run = open_run(folder.run)
    assert run.windows is None
    for batch in (events[:20], events[20:]):
        write_batch(folder, batch)
        known = run.events()
        real = known.loc[known["phase"] != "reset", "update"]
        assert run.windows == (real.min(), real.max())
