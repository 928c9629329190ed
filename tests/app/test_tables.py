"""A table is read aloud by what it is about, and a cell without a value says so in no programmer's word."""

from __future__ import annotations

import pytest

from tests.app.opening import Open, assert_sound

MISSING_VALUES = "diverges-to-nan"
PAGES = ("runs", "accumulation", "gradient_flow", "diagnosis", "compare")


@pytest.mark.parametrize("page", PAGES)
def test_every_table_has_a_name_and_a_sign_for_nothing(open_page: Open, page: str) -> None:
    run = f"samples:{MISSING_VALUES}"
    app = open_page(page, run=run, runs=[run, "samples:never-resets"])
    assert_sound(app)
    names = [table.proto.alt for table in app.dataframe]
    assert names
    assert all(names)
    assert len(set(names)) == len(names), "two tables of one name cannot be told apart by ear"
    assert {table.proto.placeholder for table in app.dataframe} == {"–"}


def test_what_no_check_needs_has_no_column(open_page: Open) -> None:
    found = open_page("diagnosis", run="samples:healthy-transformer-n8").dataframe[0].value
    missed = open_page("diagnosis", run=f"samples:{MISSING_VALUES}").dataframe[0].value
    assert "needs" not in found.columns
    assert missed["needs"].str.len().max() > 0
