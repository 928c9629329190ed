"""A reader that knows FORMAT.md and nothing else sees what ours sees: superseded parts, ranks, a torn tail."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gradviz.schema import PHASES
from gradviz.store import Run, open_run, sample_folder
from gradviz.store.columns import STATISTICS
from tests.distributed.ranked_runs import Training, record_sharded
from tests.store.made_runs import cut, make_events, make_layers, merge, new_folder, write_batch
from tests.store.reader_from_format import read_run

GOLDEN = Path(__file__).parents[1] / "golden"
SAMPLES = [path.parent for path in sorted([*sample_folder().glob("*/run.json"), *GOLDEN.glob("*/run.json")])]


def assert_same(run: Run, rank: int = 0) -> None:
    rows, events = read_run(run.path, rank)
    ours, known = run.gradients(rank=rank), run.events(rank=rank)
    assert rows["layer"].tolist() == ours["layer"].astype(str).tolist()
    for name in ("event", "update", "micro_step"):
        assert rows[name].tolist() == ours[name].tolist()
        assert events[name].tolist() == known[name].tolist()
    assert [PHASES[code] for code in rows["phase"]] == ours["phase"].tolist()
    for name in STATISTICS:
        theirs = rows[name].to_numpy(float, na_value=np.nan) if name in rows else np.full(len(rows), np.nan)
        np.testing.assert_array_equal(theirs, ours[name].to_numpy(float, na_value=np.nan))
    for name in ("seconds", "loss", "lr"):
        np.testing.assert_array_equal(
            events[name].to_numpy(float, na_value=np.nan), known[name].to_numpy(float)
        )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_run_that_is_shipped(path: Path) -> None:
    assert_same(open_run(path))


def test_each_rank(tmp_path: Path) -> None:
    run = open_run(record_sharded(tmp_path, Training.random(4), 2))
    for rank in run.ranks:
        assert_same(run, rank)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Ten parts, and beside them the part that they were merged into: a crash came before they were removed."""
    layers = make_layers(4)
    folder = new_folder(tmp_path, layers)
    for batch in cut(make_events(layers, 100), [10] * 10):
        write_batch(folder, batch)
    before = tmp_path / "before"
    shutil.copytree(folder.run, before)
    merge(folder, final=True)
    shutil.copytree(before, folder.run, dirs_exist_ok=True)
    return open_run(folder.run)


def test_superseded_parts_count_once(run: Run) -> None:
    assert len(list(run.path.glob("gradients/*/part-*"))) == 11
    assert_same(run)
    assert len(run.events()) == 100


def test_a_torn_merge_does_not_hide_what_it_was_made_of(run: Run) -> None:
    for kind in ("gradients", "events"):
        whole = max((run.path / kind).rglob("part-*"), key=lambda path: path.stat().st_size)
        whole.write_bytes(whole.read_bytes()[:-20])
    again = open_run(run.path)
    assert_same(again)
    assert len(again.events()) == 100


def test_a_torn_tail_and_events_that_were_never_committed(tmp_path: Path) -> None:
    layers = make_layers(4)
    folder = new_folder(tmp_path, layers)
    for batch in cut(make_events(layers, 60), [20] * 3):
        write_batch(folder, batch)
    last = sorted((folder.run / "gradients").rglob("part-*"))[-1]
    (last.parent / f".{last.name}.tmp").write_bytes(last.read_bytes()[:500])
    last.unlink()
    run = open_run(folder.run)
    assert_same(run)
    assert len(run.events()) == 40
