"""Numbers as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.figures.numbers import number, number_format, table_format


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (0.001, "0.001"),
        (0.00012345, "1.23e-4"),
        (1e-30, "1e-30"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (12345.0, "1.23e4"),
        (-2.5e-7, "-2.5e-7"),
        (float("nan"), "NaN"),
        (float("inf"), "Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_number(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("largest", "expected"), [(1.0, ".3~g"), (9e3, ".3~g"), (2e4, ".2~e"), (1e-4, ".2~e"), (0.0, ".3~g")]
)
def test_the_format_follows_the_largest(largest: float, expected: str) -> None:
    assert number_format(np.array([0.0, np.nan, largest])) == expected


def test_the_format_of_nothing() -> None:
    assert number_format(np.array([])) == ".3~g"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 2.3, 9999.0], "%.3g"),
        ([0.5, 9.85e12, np.nan], "%.2e"),
        ([1e-5, 2e-5, 0.0], "%.2e"),
        ([0.0, 0.0], "%.3g"),
        ([np.nan, np.inf], "%.3g"),
        ([], "%.3g"),
    ],
)
def test_a_column_has_exponents_where_plain_digits_would_be_very_many(
    values: list[float], expected: str
) -> None:
    assert table_format(values) == expected
