"""`gradviz export`: what comes out is what is in, in three formats, and nowhere near a run."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradviz as package
from gradviz.schema import Phase
from gradviz.store.places import sample_folder
from tests.cli.conftest import Command
from tests.comparable_runs import record_alike

RUN = "vanishing-deep-sigmoid"
TABLES = ["gradients", "events", "layers", "distributions"]


def frame_of(table: str) -> pd.DataFrame:
    run = package.open_run(sample_folder() / RUN)
    return run.layers if table == "layers" else getattr(run, table)()


def read(path: Path) -> pd.DataFrame:
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
    return readers[path.suffix](path)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("file_format", ["csv", "parquet", "json"])
def test_the_rows_are_those_of_the_reader(
    gradviz: Command, tmp_path: Path, file_format: str, table: str
) -> None:
    answer = gradviz("export", RUN, "--format", file_format, "--table", table)
    path = tmp_path / f"{RUN}-{table}.{file_format}"
    expected = frame_of(table)
    assert answer.code == 0
    assert answer.out.startswith(f"{path}  ({len(expected):,} rows, ")
    written = read(path)
    assert list(written.columns)[: len(expected.columns)] == [
        name for name in written.columns if name in expected.columns
    ]
    for name in expected.columns:
        one, two = expected[name], written[name]
        if name in ("shape", "shared_names"):
            assert [list(entry) for entry in one] == [
                list(json.loads(entry) if isinstance(entry, str) else entry) for entry in two
            ]
        elif pd.api.types.is_numeric_dtype(one) and not pd.api.types.is_bool_dtype(one):
            numbers = [column.to_numpy(dtype=np.float64, na_value=np.nan) for column in (one, two)]
            np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-7, atol=1e-12, err_msg=name)
        else:
            assert one.astype(str).tolist() == two.astype(str).tolist()


def test_pieces_are_the_same_rows(gradviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gradviz("export", RUN, "-o", "whole.csv")
    monkeypatch.setattr("gradviz.store.exporting.ROWS_AT_ONCE", 1000)
    assert gradviz("export", RUN, "-o", "pieces.csv").code == 0
    whole, pieces = ((tmp_path / name).read_text().splitlines() for name in ("whole.csv", "pieces.csv"))
    assert sorted(whole) == sorted(pieces)
    assert whole[0] == pieces[0]


def test_null_and_nan_are_two_things(gradviz: Command, tmp_path: Path) -> None:
    factors = {(0, 1, Phase.MICRO_STEP): math.nan, (0, 2, Phase.MICRO_STEP): math.inf}
    run = record_alike(tmp_path, "odd", factors=factors)
    gradviz("export", run, "-o", "odd.csv")
    with (tmp_path / "odd.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["layer"] == "in.weight" and row["update"] == "0"]
    assert [(row["l2"], row["nonfinite"]) for row in rows[1:3]] == [("", ""), ("inf", "1")]
    gradviz("export", run, "-o", "odd.json", "--format", "json")
    told = json.loads((tmp_path / "odd.json").read_text())
    assert {row["l2"] for row in told if row["nonfinite"] == 1} == {None}


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_no_name_becomes_a_formula(gradviz: Command, tmp_path: Path, start: str) -> None:
    name = f'{start}cmd|" /C calc"!A0'
    run = record_alike(tmp_path, "hostile", layers=(name, "fine"))
    known = package.open_run(run).layers["layer"][0]
    for table in ("gradients", "layers"):
        gradviz("export", run, "--table", table, "-o", "x.csv", "--force")
        with (tmp_path / "x.csv").open(newline="") as stream:
            cells = [row["layer"] for row in csv.DictReader(stream)]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n"))]
        assert {cell.removeprefix("'") for cell in cells} == {known, "fine"}


def test_numbers_below_zero_stay_numbers(gradviz: Command, tmp_path: Path) -> None:
    run = record_alike(tmp_path, "minus", losses={(0, 1): -4.5})
    gradviz("export", run, "--table", "events", "-o", "x.csv")
    assert pd.read_csv(tmp_path / "x.csv")["loss"].min() == -4.5


def test_nothing_is_replaced_unless_asked(gradviz: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    answer = gradviz("export", RUN, "-o", "mine.csv")
    assert answer.code == 2
    assert "is there already" in answer.err
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert gradviz("export", RUN, "-o", "mine.csv", "--force").code == 0
    assert (tmp_path / "mine.csv").read_text() != "mine"


@pytest.mark.parametrize("place", [".", "gradients", "gradients/rank=0"])
def test_nothing_is_written_into_a_run(gradviz: Command, tmp_path: Path, place: str) -> None:
    run = record_alike(tmp_path, "kept")
    other = record_alike(tmp_path, "other")
    before = sorted(path for path in run.rglob("*"))
    for asked in (run, other):
        answer = gradviz("export", asked, "-o", run / place / "x.csv")
        assert answer.code == 2
        assert "which is never written to" in answer.err
    assert sorted(path for path in run.rglob("*")) == before


@pytest.mark.parametrize("output", ["no-such-folder/x.csv", "run.json/x.csv", "."])
def test_a_place_that_cannot_be_written_to(gradviz: Command, tmp_path: Path, output: str) -> None:
    (tmp_path / "file").write_text("")
    answer = gradviz("export", RUN, "-o", output.replace("run.json", "file"))
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_for_a_machine(gradviz: Command, tmp_path: Path) -> None:
    told = json.loads(gradviz("export", RUN, "--table", "layers", "--json").out)
    assert told["file"] == str(tmp_path / f"{RUN}-layers.csv")
    assert (told["table"], told["rows"], told["damaged"]) == ("layers", 22, 0)
    assert told["bytes"] == Path(told["file"]).stat().st_size


def test_a_run_with_nothing_in_it_gives_the_columns(gradviz: Command, tmp_path: Path) -> None:
    run = record_alike(tmp_path, "empty", windows=())
    for table in TABLES:
        assert (
            gradviz("export", run, "--table", table, "-o", f"{table}.parquet", "--format", "parquet").code
            == 0
        )
        assert len(pd.read_parquet(tmp_path / f"{table}.parquet").columns) > 3


def test_damage_is_said(gradviz: Command, tmp_path: Path) -> None:
    run = record_alike(tmp_path, "damaged")
    part = next((run / "gradients").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    answer = gradviz("export", run, "-o", "x.csv")
    assert answer.code == 0
    assert "1 damaged parts are not in it" in answer.out


def test_a_run_that_is_not_there(gradviz: Command) -> None:
    assert gradviz("export", "no-such-run").code == 2
