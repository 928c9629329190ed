"""Each call fails, and all that come after it: the fast tests do it here and there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.faults.enumerating import fail_at, points
from tests.faults.faulty_disk import FOR_EVER, Way


@pytest.mark.soak
@pytest.mark.usefixtures("small_and_eager")
def test_every_call_fails_for_ever(tmp_path: Path, rows: pd.DataFrame) -> None:
    numbers = range(1, points(tmp_path, rows) + 1)
    fail_at(tmp_path, numbers, rows, [(Way.FAIL, FOR_EVER)])
