"""DuckDB and pandas read the folders in place, and say what our reader says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from gradviz.schema import PHASES
from gradviz.store import open_run, sample_folder
from tests.store.made_runs import cut, make_events, make_layers, write_run

SAMPLES = sorted(path.parent for path in sample_folder().glob("*/run.json"))
KEY = ["layer", "event"]
NUMBERS = ["update", "micro_step", "mean_abs", "l2", "max_abs", "zeros", "micro_l2", "cosine"]


@pytest.fixture(params=[*SAMPLES, None], ids=lambda path: "merged" if path is None else path.name)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param is not None:
        return Path(request.param)
    layers = make_layers(5)
    return write_run(tmp_path, layers, cut(make_events(layers, 120), [15] * 8))


def assert_same(rows: pd.DataFrame, path: Path) -> None:
    ours = open_run(path).gradients().astype({"layer": str}).sort_values(KEY)
    rows = rows.astype({"layer": str}).sort_values(KEY)
    assert rows[KEY].to_numpy().tolist() == ours[KEY].to_numpy().tolist()
    assert [PHASES[code] for code in rows["phase"]] == ours["phase"].tolist()
    for name in NUMBERS:
        np.testing.assert_array_equal(rows[name].to_numpy(float), ours[name].to_numpy(float))
    assert rows["nonfinite"].isna().tolist() == ours["nonfinite"].isna().tolist()


def test_pandas_reads_the_same(path: Path) -> None:
    rows = pd.read_parquet(path / "gradients")
    assert_same(rows, path)
    events = pd.read_parquet(path / "events").sort_values("event")
    ours = open_run(path).events()
    assert events["event"].tolist() == ours["event"].tolist()
    np.testing.assert_array_equal(events["loss"].to_numpy(float), ours["loss"].to_numpy(float))


def test_duckdb_reads_the_same(path: Path) -> None:
    with duckdb.connect() as base:
        rows = base.read_parquet(str(path / "gradients" / "*" / "*.parquet"), hive_partitioning=True).df()
        assert set(rows["rank"]) == {0}
        assert_same(rows, path)
        counted = base.sql(
            f"select layer, count(*) as count from '{path}/gradients/*/*.parquet' "  # noqa: S608  # a path of ours
            "where phase = 3 and isfinite(l2) group by layer"
        ).df()
    overview = open_run(path).overview().groupby("layer", observed=True)["count"].sum()
    assert dict(zip(counted["layer"], counted["count"], strict=True)) == overview[overview > 0].to_dict()
