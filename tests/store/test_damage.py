"""Parts and folders that are damaged, foreign, newer or hostile: skipped and said, never read as rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradviz.errors import RunFormatError, RunNotFoundError
from gradviz.schema import RunState
from gradviz.store import footers, list_runs, open_run
from tests.store.made_runs import cut, make_events, make_layers, write_run

LAYERS = make_layers(3)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(
        tmp_path_factory.mktemp("sound"), LAYERS, cut(make_events(LAYERS, 40), [10] * 4), final=False
    )


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def part(run: Path, number: int, kind: str = "gradients") -> Path:
    return sorted((run / kind / "rank=0").glob("part-*"))[number]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path: Path) -> None:
    pd.DataFrame({"x": [1.0]}).to_parquet(path)


def our_columns_without_mark(path: Path) -> None:
    pq.write_table(pq.read_table(path, partitioning=None).replace_schema_metadata(None), path)


SPOILED: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "zero bytes": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "foreign": foreign,
    "no mark": our_columns_without_mark,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_part_is_skipped_and_listed(run: Path, spoil: Callable[[Path], object]) -> None:
    spoil(part(run, 1))
    opened = open_run(run)
    assert sorted(opened.gradients()["event"].unique()) == [*range(10), *range(20, 40)]
    (damage,) = opened.damaged
    assert (damage.path, damage.first_event, damage.last_event) == (part(run, 1), 10, 19)
    assert damage.reason.startswith("part-000000000010-000000000019.parquet: ")
    assert opened.gaps == [(10, 19)]
    assert opened.overview()["count"].sum() > 0


def test_of_a_spoiled_events_part_the_gradients_tell_what_its_events_were(sound: Path, run: Path) -> None:
    moment, whole = ["event", "update", "micro_step", "phase"], open_run(sound).events()
    truncate(part(run, 2, "events"))
    opened = open_run(run)
    assert len(opened.gradients()) == 120
    events = opened.events()
    pd.testing.assert_frame_equal(events[moment], whole[moment])
    lost = events["event"].between(20, 29)
    pd.testing.assert_frame_equal(events[~lost], whole[~lost])
    assert events.loc[lost, ["seconds", "loss", "tokens"]].isna().all(axis=None)
    assert opened.events(updates=(5, 6))["event"].tolist() == list(range(20, 28))
    assert opened.gaps == []
    assert [damage.first_event for damage in opened.damaged] == [20]


def test_without_any_events_part_the_windows_are_still_known(run: Path) -> None:
    for path in (run / "events" / "rank=0").iterdir():
        truncate(path)
    opened = open_run(run)
    assert (opened.windows, opened.gaps, len(opened.damaged)) == ((0, 9), [], 4)
    assert opened.events()["event"].tolist() == list(range(40))


def test_a_writer_may_leave_open_whether_its_columns_have_nulls(run: Path) -> None:
    truncate(part(run, 2, "events"))
    path = part(run, 2)
    table = pq.read_table(path, partitioning=None)
    fields = [field.with_nullable(True) for field in table.schema]
    rows = pq.ParquetFile(path).metadata.row_group(0).num_rows
    marks = {key: mark for key, mark in table.schema.metadata.items() if key != footers.KEY}
    pq.write_table(table.cast(pa.schema(fields, metadata=marks)), path, row_group_size=rows)
    assert len(open_run(run).events()) == 40


def test_flipped_bits_never_change_a_number(run: Path) -> None:
    """A bit flipped anywhere is noticed or harmless: what is shown is what was written."""
    truth = open_run(run).gradients()
    path, chance = part(run, 0), np.random.default_rng(1)
    whole = path.read_bytes()
    noticed = 0
    for _ in range(60):
        spoiled = bytearray(whole)
        spoiled[chance.integers(len(spoiled))] ^= 1 << chance.integers(8)
        path.write_bytes(spoiled)
        opened = open_run(run)
        rows = opened.gradients()
        noticed += bool(opened.damaged)
        if opened.damaged:
            assert set(rows["event"]) == set(range(10, 40))
        pd.testing.assert_frame_equal(rows, truth[truth["event"].isin(rows["event"])].reset_index(drop=True))
    assert noticed > 30


def test_a_damaged_merged_part_does_not_hide_its_sources(sound: Path, run: Path) -> None:
    """A merge that died between the rename and the removal, and whose part then rotted."""
    merged = part(run, 0).with_name("part-000000000000-000000000039.parquet")
    merged.write_bytes(b"rot")
    opened = open_run(run)
    pd.testing.assert_frame_equal(opened.gradients(), open_run(sound).gradients())
    assert [damage.path for damage in opened.damaged] == [merged]


def test_overlapping_parts_give_no_row_twice(run: Path) -> None:
    shutil.copy(part(run, 1), part(run, 1).with_name("part-000000000005-000000000014.parquet"))
    opened = open_run(run)
    assert not opened.gradients().duplicated(["event", "layer"]).any()
    assert any("overlaps" in damage.reason for damage in opened.damaged)


def test_other_files_in_the_folder_are_ignored(run: Path) -> None:
    folder = run / "gradients" / "rank=0"
    for name in (
        "notes.txt",
        "part-1-2.parquet.tmp",
        "part-9-3.parquet",
        "data.parquet",
        ".part-1-2.parquet.tmp",
    ):
        (folder / name).write_bytes(b"x")
    opened = open_run(run)
    assert len(opened.gradients()) == 120
    assert opened.damaged == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"[" * 200_000, "is damaged"),
        (b"[]", "is not a gradviz run"),
        (b'{"format": "other"}', "is not a gradviz run"),
        (b'{"format": "gradviz-run", "version": 99}', "reads up to 1. Upgrade with: pip install"),
        (b'{"format": "gradviz-run", "version": "1"}', "was written in format '1'"),
        (b'{"format": "gradviz-run", "version": 1}', "table of layers"),
        (b'{"format": "gradviz-run", "version": 1, "layers": [{"layer_id": -1}]}', "table of layers"),
        (b'{"format": "gradviz-run", "version": 1, "layers": 3}', "table of layers"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_sentence(run: Path, content: bytes, message: str) -> None:
    (run / "run.json").write_bytes(content)
    with pytest.raises(RunFormatError, match=message):
        open_run(run)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"No run at .*nothing"):
        open_run(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunNotFoundError, match=r"No run at .*file"):
        open_run(tmp_path / "file")


def test_damaged_and_newer_runs_are_still_listed(run: Path) -> None:
    (run / "run.json").write_bytes(b'{"format": "gradviz-run", "version": 99}')
    (summary,) = list_runs(run.parent)
    assert (summary.path, summary.state) == (run, RunState.DAMAGED)
    assert "Upgrade with" in (summary.problem or "")
    (run / "run.json").write_bytes(b"{")
    (summary,) = list_runs(run.parent)
    assert "is damaged" in (summary.problem or "")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": "happy"}', b'{"events": "many"}', b"\xff"])
def test_a_damaged_heartbeat_costs_only_itself(run: Path, content: bytes) -> None:
    (run / "heartbeat-0.json").write_bytes(content)
    opened = open_run(run)
    assert (opened.state, opened.dropped) == (RunState.INTERRUPTED, 0)
    assert len(opened.gradients()) == 120
    assert list_runs(run.parent)[0].events is None


def test_a_run_that_is_removed_says_so(run: Path) -> None:
    opened = open_run(run)
    shutil.rmtree(run)
    assert opened.gradients().empty
    assert opened.damaged == []
    with pytest.raises(RunNotFoundError, match="No run at"):
        open_run(run)


def test_a_reader_writes_nothing(run: Path) -> None:
    def look() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}

    truncate(part(run, 1))
    before = look()
    opened = open_run(run)
    opened.gradients(), opened.events(), opened.overview(), opened.verify(), opened.state, opened.gaps
    list_runs(run.parent)
    assert look() == before
