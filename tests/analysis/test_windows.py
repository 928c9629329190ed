"""Which window to begin with."""

from __future__ import annotations

import pandas as pd
import pytest

from gradviz.analysis.windows import usual_window


@pytest.mark.parametrize(
    ("lengths", "windows", "expected"),
    [
        ([4, 4, 4, 4], (0, 3), 3),
        ([4, 4, 4, 1], (0, 3), 2),
        ([1, 4, 4, 2, 1], (0, 4), 2),
        ([4, 4, 4, 1], (3, 3), 3),
        ([4, 1], (0, 1), 0),  # no length is more frequent: the longer one
        ([0, 0], (0, 1), 1),
        ([4, 4, 4, 4], (7, 9), 9),
    ],
)
def test_the_newest_window_of_the_usual_length(
    lengths: list[int], windows: tuple[int, int], expected: int
) -> None:
    rows = [
        (update, phase)
        for update, length in enumerate(lengths)
        for phase in ["reset", *["micro_step"] * length, "update"]
    ]
    assert usual_window(pd.DataFrame(rows, columns=["update", "phase"]), windows) == expected
