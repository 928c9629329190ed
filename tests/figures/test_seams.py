"""Where a run was resumed: a line through the sawtooth, where the first window after it begins."""

from __future__ import annotations

import pandas as pd
import pytest

from gradviz.analysis import sawtooth, thin_windows
from gradviz.figures import plot_sawtooth
from gradviz.texts import text
from tests.reference_runs import reference_run

RUN = reference_run(windows=(4,) * 12)


def lines(
    first_updates: list[int], *, updates: tuple[int, int] = (0, 99), points: int = 10_000
) -> list[float]:
    rows = RUN.gradients()
    rows = rows[rows["update"].between(*updates)]
    segments = pd.DataFrame({"first_update": first_updates})
    record = thin_windows(sawtooth(rows, layer="first.weight", segments=segments), points=points)
    figure = plot_sawtooth(record)
    named = [one.x for one in figure.layout.annotations if one.text == text("figure.sawtooth.resumed")]
    drawn = [shape.x0 for shape in figure.layout.shapes if shape.line.dash == "dot" and shape.x0 == shape.x1]
    assert named == (drawn if len(drawn) <= 6 else [])
    return drawn


def test_a_seam_stands_where_its_window_begins() -> None:
    assert lines([0, 3]) == [12]
    assert lines([0, 3, 0, 3]) == [12], "the seam of two ranks is one"
    assert lines([0, 2, 5]) == [8, 20]


def test_a_run_without_a_seam_has_no_line() -> None:
    assert lines([0]) == lines([0, 0, 0]) == lines([]) == []


@pytest.mark.parametrize("first_update", [20, 13])
def test_a_seam_outside_the_picture_is_not_drawn(first_update: int) -> None:
    assert lines([0, first_update]) == []
    assert lines([0, 4], updates=(4, 8)) == [], "it would stand at the left edge"


def test_a_seam_survives_thinning() -> None:
    assert lines([0, 6], points=40) != []


def test_many_seams_have_no_names() -> None:
    assert len(lines(list(range(10)))) == 9
