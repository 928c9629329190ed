"""Every ailment of a run is found where it was planted, and mending touches nothing else."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.errors import RunFolderError
from gradviz.schema import RunState
from gradviz.store.locks import release_lock, take_lock
from gradviz.store.mending import Ailment, ailments
from tests.store.made_runs import iterate_events, make_layers, start_writer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 40 events and 3 layers that was closed."""
    layers = make_layers(3)
    writer = start_writer(tmp_path, layers)
    for event in iterate_events(layers, 40):
        assert writer.put(event)
    assert writer.close() == 0
    return writer.path


def kinds(found: list[Ailment]) -> list[str]:
    return [ailment.kind for ailment in found]


def content(run: Path) -> dict[str, str]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def part_of(run: Path, kind: str) -> Path:
    (path,) = (run / kind / "rank=0").glob("part-*.parquet")
    return path


def only_mend(run: Path) -> Ailment:
    (found,) = ailments(run)
    assert found.mend is not None
    found.mend()
    assert list(ailments(run)) == []
    return found


def test_a_whole_run_has_nothing(run: Path) -> None:
    before = content(run)
    assert list(ailments(run, read_all=True)) == []
    assert list(ailments(run.parent)) == []
    assert content(run) == before


@pytest.mark.parametrize(
    "name",
    [
        "gradients/rank=0/.part-000000000000-000000000009.parquet.tmp",
        "overview/rank=0/.part-000000000000-000000000009.parquet.tmp",
        ".run.json.tmp",
        ".heartbeat-0.json.tmp",
        ".run.json.4711.tmp",
    ],
)
def test_a_stray_temporary_is_removed_and_nothing_else(run: Path, name: str) -> None:
    before = content(run)
    (run / name).write_bytes(b"half of it")
    assert only_mend(run).kind == "temporary"
    assert content(run) == before


def test_files_of_others_are_left_alone(run: Path) -> None:
    for name in ("notes.tmp", ".vimrc", "gradients/rank=0/.part-x.parquet.tmp"):
        (run / name).write_bytes(b"mine")
    assert list(ailments(run)) == []


def test_a_missing_overview_is_the_same_again(run: Path) -> None:
    before, whole = gradviz.open_run(run).overview(), content(run)
    part_of(run, "overview").unlink()
    assert only_mend(run).kind == "overview"
    pd.testing.assert_frame_equal(gradviz.open_run(run).overview(), before)
    assert content(run) == whole  # the numbers, and the same bytes too


def test_a_missing_overview_of_an_interrupted_tail_is_no_ailment(run: Path) -> None:
    part_of(run, "overview").unlink()
    heartbeat = run / "heartbeat-0.json"
    beat = json.loads(heartbeat.read_text()) | {"state": "live", "written": time.time() - 1e6}
    heartbeat.write_text(json.dumps(beat))
    assert gradviz.list_runs(run)[0].state is RunState.INTERRUPTED
    (found,) = ailments(run)
    assert (found.kind, found.mend) == ("interrupted", None)


def test_damage_is_named_and_left_alone(run: Path) -> None:
    part = part_of(run, "gradients")
    part.write_bytes(part.read_bytes()[:-20])
    before = content(run)
    found = list(ailments(run))
    assert "damaged" in kinds(found)
    damaged = next(ailment for ailment in found if ailment.kind == "damaged")
    assert part.name in damaged.found
    assert damaged.mend is None
    assert content(run) == before


def test_a_flipped_bit_is_found_where_every_page_is_read(run: Path) -> None:
    part = part_of(run, "gradients")
    whole = part.read_bytes()
    place = len(whole) // 3
    part.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
    assert "damaged" in kinds(list(ailments(run, read_all=True)))


def test_a_run_that_cannot_be_opened_is_explained(run: Path) -> None:
    manifest = run / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    (found,) = ailments(run)
    assert found.kind == "unreadable"
    assert "99" in found.found


def test_events_that_were_dropped_are_counted(run: Path) -> None:
    heartbeat = run / "heartbeat-0.json"
    heartbeat.write_text(json.dumps(json.loads(heartbeat.read_text()) | {"dropped": 7}))
    (found,) = ailments(run)
    assert (found.kind, found.found) == ("dropped", "7 events were not written")


def test_a_run_that_is_being_recorded_is_left_alone(tmp_path: Path) -> None:
    layers = make_layers(2)
    writer = start_writer(tmp_path, layers)
    for event in iterate_events(layers, 8):
        writer.put(event)
    assert writer.flush()
    (writer.path / "gradients/rank=0/.part-000000000000-000000000009.parquet.tmp").write_bytes(b"its work")
    assert list(ailments(writer.path)) == []
    writer.close()


def test_a_writer_that_came_in_between_is_not_disturbed(run: Path) -> None:
    stray = run / ".run.json.tmp"
    stray.write_bytes(b"half of it")
    (found,) = ailments(run)
    lock = take_lock(run, 0)
    assert found.mend is not None
    with pytest.raises(RunFolderError, match="Another process is recording"):
        found.mend()
    release_lock(lock)
    assert stray.exists()


def test_each_rank_is_mended_by_itself(run: Path) -> None:
    assert np.array_equal(gradviz.open_run(run).events()["event"], np.arange(40))
    (run / "gradients/rank=0/.part-000000000000-000000000003.parquet.tmp").write_bytes(b"")
    (run / ".heartbeat-0.json.tmp").write_bytes(b"")
    found = list(ailments(run))
    assert kinds(found) == ["temporary", "temporary"]
    for ailment in found:
        assert ailment.mend is not None
        ailment.mend()
    assert list(ailments(run)) == []
