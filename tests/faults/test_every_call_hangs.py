"""Each call hangs: the fast tests do it here and there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.faults.enumerating import hang_at, points


@pytest.mark.soak
@pytest.mark.usefixtures("small_and_eager")
@pytest.mark.parametrize("comes_back", [True, False])
def test_every_call_hangs(tmp_path: Path, rows: pd.DataFrame, comes_back: bool) -> None:
    numbers = range(1, points(tmp_path, rows) + 1)
    hang_at(tmp_path, numbers, rows, comes_back=comes_back)
