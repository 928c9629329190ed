"""What is read of a long run stretch by stretch is what reading all of it at once gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradviz
from gradviz.analysis import compared_run, comparison_reading
from gradviz.analysis.heat_map import block_columns, heat_map
from tests.comparable_runs import record_alike

WINDOWS = (2,) * 70  # four blocks of 16 updates, and one that is not full


@pytest.mark.parametrize("updates", [None, (20, 66), (0, 10_000), (69, 69), (500, 600)])
def test_the_overview_in_stretches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: tuple[int, int] | None
) -> None:
    run = gradviz.open_run(record_alike(tmp_path, windows=WINDOWS))
    monkeypatch.setattr(comparison_reading, "ROWS_AT_ONCE", 1)
    whole = heat_map(run.overview(updates=updates, columns=block_columns("l2")), columns=10**6)
    found = compared_run(run, updates=updates, exact=False).consumed
    assert found.layers == whole.layers
    for name in ("first_update", "last_update", "value", "total", "count", "nonfinite"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
