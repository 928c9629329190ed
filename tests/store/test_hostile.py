"""Run folders from strangers: bombs, pipes and rows that cannot be."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradviz.errors import QueryError, RunFormatError
from gradviz.schema import RunState
from gradviz.store import open_run
from gradviz.store import part_files as reading
from tests.store.made_runs import cut, make_events, make_layers, write_run

LAYERS = make_layers(3)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    batches = cut(make_events(LAYERS, 40), [10] * 4)
    return write_run(tmp_path_factory.mktemp("sound"), LAYERS, batches, final=False)


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def part(run: Path, number: int) -> Path:
    return sorted((run / "gradients" / "rank=0").glob("part-*"))[number]


def test_a_decompression_bomb_is_refused_before_decoding(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROW_GROUP_LIMIT", 29)
    opened = open_run(run)
    assert opened.gradients().empty
    assert "30 rows would be decoded" in opened.damaged[0].reason
    monkeypatch.setattr("gradviz.store.selecting.QUERY_LIMIT", 1000)
    monkeypatch.setattr(reading, "ROW_GROUP_LIMIT", 2**24)
    with pytest.raises(QueryError, match="120 rows of 18 columns are too many"):
        open_run(run).gradients()


def test_rows_of_unknown_layers_and_phases_are_damage(run: Path) -> None:
    manifest = json.loads((run / "run.json").read_text())
    manifest["layers"] = manifest["layers"][:2]
    (run / "run.json").write_text(json.dumps(manifest))
    opened = open_run(run)
    assert opened.gradients().empty
    assert "run.json does not know" in opened.damaged[0].reason


def test_pipes_hold_nothing_up(run: Path) -> None:
    part(run, 0).unlink()
    os.mkfifo(run / "gradients" / "rank=0" / "part-000000000000-000000000009.parquet")
    (run / "heartbeat-0.json").unlink()
    os.mkfifo(run / "heartbeat-0.json")
    os.mkfifo(run / "lock-0")
    opened = open_run(run)
    assert sorted(opened.gradients()["event"].unique()) == [*range(10, 40)]
    assert opened.damaged[0].reason.endswith("not a file")
    assert opened.state is RunState.INTERRUPTED
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    with pytest.raises(RunFormatError, match="is not a file"):
        open_run(run)


def test_a_string_bomb_is_never_decoded(run: Path) -> None:
    """The column `layer` is for outside readers: whatever it holds, this reader does not decode it."""
    path = part(run, 0)
    table = pq.read_table(path, partitioning=None)
    bomb = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(table), dtype=np.int32)), pa.array(["x" * 10**7])
    )
    bombed = table.set_column(table.schema.get_field_index("layer"), "layer", bomb)
    pq.write_table(bombed.replace_schema_metadata(pq.read_metadata(path).metadata), path, store_schema=False)
    opened = open_run(run)
    reserved = pa.total_allocated_bytes()
    pa.default_memory_pool().release_unused()
    opened.gradients()
    assert pa.total_allocated_bytes() - reserved < 10**7


def test_a_huge_manifest_is_not_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradviz.store.manifest.SIZE_LIMIT", 10)
    with pytest.raises(RunFormatError, match="larger than 10 bytes"):
        open_run(run)
