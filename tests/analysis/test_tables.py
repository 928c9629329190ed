"""A record as a table, and a table as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from gradviz.analysis.tables import neutralised, table_of, to_csv

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"]


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
