"""Rows a piece at a time are the rows of `gradients()`: of every sample, damaged runs, ranks, and under a merge."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import gradviz
from gradviz.errors import QueryError
from gradviz.store import all_ranks, open_run, rows
from gradviz.store import tail as tails
from gradviz.store.columns import COUNTS
from gradviz.store.places import sample_folder
from gradviz.store.query import COLUMNS
from tests.distributed.ranked_runs import Training, record_sharded
from tests.store.made_runs import cut, make_events, make_layers, merge, new_folder, write_batch, write_run

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
LAYERS = make_layers(3)


def assert_same(
    run: gradviz.Run, pieces: Iterable[dict[str, Any]], columns: Iterable[str] = COLUMNS, **query: Any
) -> None:
    """The pieces are the rows of the frame, and of each layer they ascend by event."""
    frame = run.gradients(columns=[*columns, "event", "layer"], **query)
    found = list(pieces)
    whole = {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}
    assert set(whole) == {"layer_id", "event", *columns} - {"layer"}
    position = run.layers.set_index("layer_id")["position"].loc[whole["layer_id"]].to_numpy()
    order = np.argsort(position, kind="stable")
    np.testing.assert_array_equal(position[order], frame["layer"].cat.codes)
    for name in set(whole) - {"layer_id"}:
        expected = frame[name].cat.codes if name == "phase" else frame[name]
        if name in COUNTS:
            expected = frame[name].fillna(-1).astype(np.int64)
        np.testing.assert_array_equal(whole[name][order], expected, err_msg=name)
        assert whole[name].dtype == expected.dtype


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("size", [1, rows.PIECE_ROWS])
def test_every_row_of_every_sample(path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_ROWS", size)
    run = open_run(path)
    groups = sum(len(part.rows) for one in run._of_each() for part in one.gradient_parts.current())
    found = list(run.pieces(COLUMNS))
    assert_same(run, found)
    if size == 1:
        assert len(found) == groups


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_what_was_asked_for(path: Path) -> None:
    run = open_run(path)
    names = [run.layers["layer"].iloc[at] for at in (-1, 1)]
    query: dict[str, Any] = {"layers": names, "updates": (3, 7), "phases": ["update", "reset"]}
    assert_same(run, run.pieces(["l2", "nonfinite"], **query), ["l2", "nonfinite"], **query)


def test_what_does_not_exist_is_said_at_once() -> None:
    with pytest.raises(QueryError, match="no_column"):
        open_run(SAMPLES[0]).pieces(["no_column"])


def test_a_damaged_part_is_left_out(tmp_path: Path) -> None:
    path = write_run(tmp_path, LAYERS, cut(make_events(LAYERS, 40), [10] * 4), final=False)
    part = sorted((path / "gradients").rglob("part-*"))[1]
    part.write_bytes(part.read_bytes()[:-100])
    run = open_run(path)
    assert {int(event) for piece in run.pieces([]) for event in piece["event"]} == {
        *range(10),
        *range(20, 40),
    }
    assert_same(run, run.pieces(COLUMNS))
    assert [damage.first_event for damage in run.damaged] == [10]


@pytest.mark.parametrize("size", [1, rows.PIECE_ROWS])
def test_of_a_part_with_a_damaged_page_the_rest_is_read(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PIECE_ROWS", size)
    monkeypatch.setattr("gradviz.store.merging.ROW_GROUP_ROWS", 40)
    path = write_run(tmp_path, LAYERS, cut(make_events(LAYERS, 40), [10] * 4))
    (part,) = (path / "gradients").rglob("part-*")
    footer = pq.read_metadata(part)
    column = footer.row_group(1).column(footer.schema.names.index("l2"))
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    part.write_bytes(content)
    run, other = open_run(path), open_run(path)
    assert_same(run, run.pieces(COLUMNS))
    assert {int(layer) for piece in other.pieces(["l2"]) for layer in piece["layer_id"]} == {0, 2}
    assert [damage.reason for damage in other.damaged] == [damage.reason for damage in run.damaged]


def test_rows_of_layers_that_nobody_knows_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradviz.store.merging.ROW_GROUP_ROWS", 40)
    path = write_run(tmp_path, LAYERS, cut(make_events(LAYERS, 40), [10] * 4))
    other = write_run(tmp_path / "other", LAYERS[:2], [make_events(LAYERS[:2], 4)])
    shutil.copy(other / "run.json", path / "run.json")
    run = open_run(path)
    assert {int(layer) for piece in run.pieces([]) for layer in piece["layer_id"]} == {0, 1}
    assert [damage.reason for damage in run.damaged] == [
        "rows of layers that run.json does not know (row group 2)"
    ]


def test_a_merge_in_the_midst_gives_no_row_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE_ROWS", 1)
    monkeypatch.setattr(tails, "FAN_IN", 100)
    folder = new_folder(tmp_path, LAYERS)
    for batch in cut(make_events(LAYERS, 40), [4] * 10):
        write_batch(folder, batch)
    run = open_run(folder.run)
    pieces = run.pieces(COLUMNS)
    found = [next(pieces), next(pieces)]
    merge(folder, final=True)
    found += pieces
    assert len(found) < 10
    assert_same(run, found)


def test_of_ranks_together_and_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record_sharded(tmp_path, Training.random(4), 2)
    assert_same(open_run(path), open_run(path).pieces(COLUMNS))
    monkeypatch.setattr(all_ranks, "ROWS_AT_ONCE", 1)
    run = open_run(path)
    found = list(run.pieces(COLUMNS, updates=(1, 2)))
    assert len(found) == 4
    assert_same(run, found, updates=(1, 2))
    assert_same(run.of_rank(1), run.of_rank(1).pieces(COLUMNS))
