"""The n-th call to the file system fails, hangs or is the last one: some of them here, all of them in soak."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.faults.enumerating import die_at, fail_at, hang_at, points
from tests.faults.faulty_disk import FOR_EVER, Way

pytestmark = pytest.mark.usefixtures("small_and_eager")


@pytest.mark.parametrize(("way", "times"), [(Way.FAIL, 1), (Way.LATE, 1), (Way.FAIL, FOR_EVER)])
def test_a_call_that_fails_here_and_there(tmp_path: Path, rows: pd.DataFrame, way: Way, times: int) -> None:
    fail_at(tmp_path, range(3, points(tmp_path, rows) + 1, 89), rows, [(way, times)])


def test_death_here_and_there(tmp_path: Path, rows: pd.DataFrame) -> None:
    die_at(tmp_path, range(5, points(tmp_path, rows) + 1, 113), rows)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_call_that_hangs_here_and_there(tmp_path: Path, rows: pd.DataFrame, comes_back: bool) -> None:
    hang_at(tmp_path, range(7, points(tmp_path, rows) + 1, 113), rows, comes_back=comes_back)
