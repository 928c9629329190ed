"""FORMAT.md is enough: a reader written from that page alone sees what gradviz sees."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradviz.schema import FORMAT_MARK, FORMAT_VERSION
from gradviz.store import open_run
from gradviz.store.columns import event_schema, gradient_schema, overview_schema
from gradviz.store.launches import Launch
from tests.store.made_runs import cut, make_events, make_layers, start_writer, write_run

PAGE = Path(__file__).parents[2] / "FORMAT.md"
LAYERS = make_layers(4)


def read_by_the_page(run: Path, kind: str) -> pa.Table:
    """The rows of one kind of part, by the rules of "A reader must"."""
    manifest = json.loads((run / "run.json").read_text())
    assert (manifest["format"], manifest["version"]) == ("gradviz-run", 1)
    ranges = {}
    for path in (run / kind / "rank=0").iterdir():
        if found := re.fullmatch(r"part-(\d{1,18})-(\d{1,18})\.parquet", path.name):
            ranges[int(found[1]), int(found[2])] = path
    tables = []
    for (first, last), path in sorted(ranges.items()):
        if any(a <= first and last <= b and (a, b) != (first, last) for a, b in ranges):
            continue
        entries = pq.read_metadata(path).metadata
        assert f"{zlib.crc32(entries[b'gradviz.index']):08x}".encode() == entries[b"gradviz.index.crc32"]
        index = json.loads(entries[b"gradviz.index"])
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
        assert sum(row_group[0] for row_group in index["row_groups"]) == table.num_rows
        tables.append(table)
    return pa.concat_tables(tables, promote_options="default")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    batches = cut(make_events(LAYERS, 120), [40, 40])
    return write_run(tmp_path_factory.mktemp("format"), LAYERS, batches, final=False)


def test_a_reader_written_from_the_page_sees_the_same(run: Path) -> None:
    ours = open_run(run).gradients().sort_values(["event", "layer"])
    theirs = read_by_the_page(run, "gradients").to_pandas().sort_values(["event", "layer_id"])
    for name in ("event", "update", "micro_step", "l2", "cosine", "micro_mean_abs"):
        np.testing.assert_array_equal(theirs[name], ours[name])
    assert theirs["layer"].tolist() == ours["layer"].tolist()
    assert read_by_the_page(run, "events")["event"].to_pylist() == open_run(run).events()["event"].tolist()


def test_the_page_names_every_column_and_rule(run: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert FORMAT_MARK in page
    assert f"format version {FORMAT_VERSION}" in page
    stems = {re.sub(r"_(sum|min|max)$", "", name) for name in overview_schema().names}
    for name in {*gradient_schema().names, *event_schema().names, *stems}:
        assert f"`{name}" in page, name
    for key in json.loads((run / "run.json").read_text()):
        assert f"`{key}`" in page, key
    for key in json.loads((run / "heartbeat-0.json").read_text()):
        assert f"`{key}`" in page, key


def test_the_page_names_what_a_rank_says_of_itself(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    writer = start_writer(tmp_path, LAYERS, launch=Launch(1, 2, 0, "k", {0: 50}))
    writer.close()
    said = json.loads((writer.path / "rank-1.json").read_text())
    for key in [*said, *said["segments"][0], *json.loads((writer.path / "run.json").read_text())]:
        assert f"`{key}`" in page, key


def test_what_is_written_is_what_the_page_says(run: Path) -> None:
    path = next((run / "gradients" / "rank=0").iterdir())
    columns = [pq.read_metadata(path).row_group(0).column(at) for at in range(16)]
    assert {column.compression for column in columns} == {"ZSTD"}
    for column in columns:
        if column.physical_type == "FLOAT":
            assert "BYTE_STREAM_SPLIT" in column.encodings
        if column.path_in_schema in ("event", "update"):
            assert "DELTA_BINARY_PACKED" in column.encodings
        assert any("DICTIONARY" in name for name in column.encodings) == (column.path_in_schema == "layer")
    assert b"ARROW:schema" not in pq.read_metadata(path).metadata


def test_a_run_of_the_first_columns_is_read_as_it_was() -> None:
    """Recorded before the weights, the ranks and the segments came: nulls where it has nothing, the rest as it was."""
    run = open_run(PAGE.parent / "tests" / "golden" / "first-columns")
    rows = run.gradients(phases="update")
    stored = pq.ParquetFile(next((run.path / "gradients" / "rank=0").glob("part-*"))).schema_arrow.names
    assert "weight_l2" not in stored
    assert rows[["weight_l2", "step_l2", "unchanged"]].isna().all(axis=None)
    assert (len(rows), rows["update"].nunique(), rows["layer"].nunique()) == (240, 30, 8)
    assert run.overview()["l2_squares_sum"].isna().all()
    assert rows["mean_abs"].astype("float64").sum() == pytest.approx(5.64769019, rel=1e-6)
    assert run.state == "finished"
    assert run.verify() == []
    assert len(run.segments) == 1


def test_a_run_with_checked_footers_is_read_as_it_was() -> None:
    """Recorded when footers and the small files had got their checksums, and overviews a sum of squares."""
    run = open_run(PAGE.parent / "tests" / "golden" / "checked-footers")
    parts = sorted(run.path.rglob("part-*"))
    assert [path.parent.parent.name for path in parts] == ["distributions", "events", "gradients", "overview"]
    assert all(len(pq.read_metadata(path).metadata[b"gradviz.footer.crc32"]) == 8 for path in parts)
    assert all(path.read_bytes().startswith(b'{"crc32":"') for path in run.path.glob("*.json"))
    rows = run.gradients()
    assert (len(rows), len(run.events()), len(run.distributions())) == (404, 101, 20)
    assert rows["l2"].astype("float64").sum() == pytest.approx(343.45102048, rel=1e-6)
    assert rows["micro_mean_abs"].astype("float64").sum() == pytest.approx(47.34878097, rel=1e-6)
    assert run.overview()["l2_squares_sum"].sum() == pytest.approx(224.94277808, rel=1e-6)
    assert run.events()["loss"].sum() == pytest.approx(63.28242818, rel=1e-6)
    assert run.verify() == []
