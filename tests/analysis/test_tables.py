"""A record as a table, and a table as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from gradviz.analysis import (
    EvidenceSeries,
    build_up,
    distribution,
    layer_flow,
    sawtooth,
    waterfall,
    window_ledger,
)
from gradviz.analysis.tables import neutralised, table_of, to_csv
from gradviz.schema import BIN_NAMES
from gradviz.store import Run, open_run, sample_folder

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"]


@pytest.fixture(scope="module")
def run() -> Run:
    return open_run(sample_folder() / "vanishing-deep-sigmoid")


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_a_text_that_would_be_a_formula_gets_an_apostrophe(name: str, dtype: str) -> None:
    table = pd.DataFrame({name: pd.Series([name, "fc.weight"], dtype=dtype)})
    inert = neutralised(table)
    assert list(inert.columns) == [f"'{name}"]
    assert list(inert[f"'{name}"]) == [f"'{name}", "fc.weight"]


def test_numbers_are_never_touched_and_come_back_bit_by_bit() -> None:
    values = np.array([-1.0, 1 / 3, -5e-324, 1.7976931348623157e308, np.nan, np.inf, -np.inf])
    table = pd.DataFrame({"value": values, "count": np.arange(-3, 4)})
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    np.testing.assert_array_equal([float(row["value"] or "nan") for row in rows], values)
    assert [int(row["count"]) for row in rows] == list(table["count"])


def test_names_come_back_whole() -> None:
    names = ['a,"b"\n<script>', "层.weight"]
    back = pd.read_csv(io.StringIO(to_csv(pd.DataFrame({"layer": names}))))
    assert list(back["layer"]) == names


def test_a_record_without_columns_says_so() -> None:
    with pytest.raises(TypeError, match="int has no table"):
        table_of(3)


def test_no_records_are_an_empty_table() -> None:
    assert table_of([]).empty


def test_every_picture_of_a_run_is_a_table_of_what_it_draws(run: Run) -> None:
    gradients, layer = run.gradients(), str(run.layers["layer"].iloc[0])
    teeth = sawtooth(gradients, layer=layer)
    table = table_of(teeth)
    np.testing.assert_array_equal(table["mean_abs"], teeth.value)
    resets = table[table["phase"] == "reset"]
    assert len(resets)
    assert resets["nonfinite"].isna().equals(pd.Series(teeth.nonfinite == -1)[resets.index])
    total = table_of([teeth, sawtooth(gradients, layer=str(run.layers["layer"].iloc[1]))])
    assert total["layer"].nunique() == 2

    flow = table_of(layer_flow(gradients, event=int(gradients["event"].max()), layers=run.layers))
    assert list(flow["layer"]) == list(run.layers["layer"])

    fall = waterfall(gradients, update=1, layer=layer)
    np.testing.assert_array_equal(table_of(fall)["after"], fall.after)
    rise = build_up(gradients, layer=layer)
    np.testing.assert_array_equal(table_of(rise)["median"], rise.median)
    assert table_of(window_ledger(gradients)).equals(window_ledger(gradients).frame)


def test_a_distribution_is_a_table_of_counts(run: Run) -> None:
    sizes = distribution(run.distributions())
    table = table_of(sizes)
    np.testing.assert_array_equal(table[list(BIN_NAMES)], sizes.counts)
    np.testing.assert_array_equal(table["first_update"], sizes.first_update)


def test_evidence_is_a_table_with_its_limits() -> None:
    flags = np.array([False, True])
    series = EvidenceSeries(
        "own", "layer", np.arange(2.0), np.array([1.0, 9.0]), flags, limits=(3.0,), names=("a", "b")
    )
    assert table_of(series).to_dict("list") == {
        "position": [0.0, 1.0],
        "layer": ["a", "b"],
        "own": [1.0, 9.0],
        "marked": [False, True],
        "limit_1": [3.0, 3.0],
    }


def test_records_of_nothing_are_tables_without_rows(run: Run) -> None:
    nothing = run.gradients().iloc[:0]
    records = [
        sawtooth(nothing, layer="x"),
        build_up(nothing, layer="x"),
        waterfall(nothing, update=0, layer="x"),
        layer_flow(nothing, event=0),
        window_ledger(nothing),
    ]
    for record in records:
        assert to_csv(table_of(record)).count("\n") == 1  # the heads alone
