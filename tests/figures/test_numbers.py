"""Numbers as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.figures.numbers import number, number_format


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
