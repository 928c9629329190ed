"""Two runs, moment by moment, against loops over their rows."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.analysis import Comparison, comparison
from gradviz.schema import Phase
from gradviz.store import Run, sample_folder
from tests.app.recorded import record_run
from tests.comparable_runs import LAYERS, record_alike

MICRO, UPDATE, RESET = Phase.MICRO_STEP, Phase.UPDATE, Phase.RESET


def of(first: Path, second: Path, **options: object) -> Comparison:
    return comparison(gradviz.open_run(first), gradviz.open_run(second), **options)  # type: ignore[arg-type]


def norms(run: Run) -> dict[tuple[int, str, int, str], float]:
    """The L2 norm of each row by update, phase, micro-step and layer; no gradient is minus one, not finite infinite."""
    found = {}
    for row in run.gradients().itertuples():
        size = -1.0 if pd.isna(row.nonfinite) else math.inf if row.nonfinite else float(row.l2)
        found[row.update, str(row.phase), row.micro_step, str(row.layer)] = size
    return found


def slow_largest(first: Run, second: Run) -> dict[int, float]:
    """The largest relative difference of each update."""
    largest: dict[int, float] = {}
    others = norms(second)
    for key, one in norms(first).items():
        if key not in others:
            continue
        two = others[key]
        if key[1] == "reset":
            one, two = max(one, 0.0), max(two, 0.0)
        if one == two:
            far = 0.0
        elif min(one, two) < 0 or math.isinf(max(one, two)):
            far = math.inf
        else:
            far = abs(one - two) / max(one, two)
        largest[key[0]] = max(largest.get(key[0], 0.0), far)
    return largest


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"factors": {(1, 2, MICRO): 1.001}},
        {"factors": {(1, 2, MICRO): math.nan, (2, 3, UPDATE): math.inf}},
        {"left": 0.25},
        {"left": 0.0},
        {"windows": (3, 2, 3)},
        {"missing": {1}},
        {"layers": (*LAYERS[1:], "new.weight")},
    ],
    ids=[
        "same",
        "one moment",
        "none and infinite",
        "left over",
        "zeroed",
        "shorter",
        "dropped",
        "other layers",
    ],
)
def test_the_largest_difference_of_each_update(tmp_path: Path, change: dict[str, object]) -> None:
    first, second = record_alike(tmp_path, "a"), record_alike(tmp_path, "b", **change)  # type: ignore[arg-type]
    found = of(first, second)
    expected = slow_largest(gradviz.open_run(first), gradviz.open_run(second))
    assert found.update.tolist() == sorted(expected)
    assert found.largest.tolist() == pytest.approx(
        [expected[update] for update in sorted(expected)], rel=1e-6
    )


def test_identical_runs_say_so(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b"))
    assert found.is_same
    assert found.is_identical
    assert found.first_difference is None
    assert found.compared == 4 + 3 * 3 + 2 + 4
    assert found.ratio.tolist() == [1.0, 1.0, 1.0]


def test_a_tolerance_forgives_and_does_not_call_it_identical(tmp_path: Path) -> None:
    a = record_alike(tmp_path, "a")
    b = record_alike(tmp_path, "b", factors={(2, 1, MICRO): 1 + 1e-4})
    forgiven = of(a, b, rtol=1e-3)
    assert forgiven.is_same
    assert not forgiven.is_identical
    assert of(a, b).first_difference is not None
    assert of(a, b, rtol=0).first_difference is not None


@pytest.mark.parametrize(
    ("place", "clue"),
    [
        ((0, 1, MICRO), "start"),
        ((2, 1, MICRO), "step"),
        ((2, 2, MICRO), "micro_batch"),
        ((1, 3, UPDATE), "consumed"),
    ],
)
def test_what_was_the_same_before_says_what_is_not(
    tmp_path: Path, place: tuple[int, int, Phase], clue: str
) -> None:
    later = {(3, 1, MICRO): 5.0}
    a = record_alike(tmp_path, "a", losses={place[:2]: 0.5})
    found = of(a, record_alike(tmp_path, "b", factors={place: 2.0} | later)).first_difference
    assert found is not None
    assert (found.update, found.micro_step, found.phase) == (place[0], place[1], place[2].name.lower())
    assert (found.clue, found.layer, found.layers) == (clue, "in.weight", 1)
    assert found.second / found.first == pytest.approx(2)
    assert found.relative == pytest.approx(0.5)
    assert np.isfinite(found.losses).all() == (place[2] is MICRO)


def test_what_a_reset_left(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", left=0.5)).first_difference
    assert found is not None
    assert (found.clue, found.layers, found.first_nonfinite) == ("reset", 3, -1)
    assert math.isnan(found.first)


def test_a_reset_to_zero_is_a_reset_to_none(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", left=0.0))
    assert found.is_same
    assert found.is_identical


def test_the_reset_that_ends_a_run_is_no_window_of_its_own() -> None:
    runs = [
        gradviz.open_run(sample_folder() / name) for name in ("diverges-to-nan", "mixed-precision-clipped")
    ]
    real = [
        events.loc[events["phase"] != "reset", "update"].max() for events in (run.events() for run in runs)
    ]
    assert max(runs[0].events()["update"]) == real[0] + 1, "it was closed after its last window"
    assert comparison(*runs).update.max() == min(real)


def test_zero_and_none_differ_where_an_optimizer_looks(tmp_path: Path) -> None:
    a = record_alike(tmp_path, "a", factors={(1, 3, UPDATE): 0.0})
    found = of(a, record_alike(tmp_path, "b", factors={(1, 3, UPDATE): math.nan})).first_difference
    assert found is not None
    assert (found.update, found.phase, found.second_nonfinite) == (1, "update", -1)


@pytest.mark.parametrize("order", ["shorter second", "shorter first"])
def test_windows_that_are_not_built_alike(tmp_path: Path, order: str) -> None:
    runs = [record_alike(tmp_path, "a"), record_alike(tmp_path, "b", windows=(3, 2, 3, 2))]
    found = of(*(runs if order == "shorter second" else runs[::-1])).first_difference
    assert found is not None
    assert (found.update, found.clue) == (1, "length")
    assert (found.only, found.micro_step, found.phase) in {
        ("first", 3, "micro_step"),
        ("second", 2, "update"),
        ("first", 2, "update"),
        ("second", 3, "micro_step"),
    }


def test_a_difference_before_a_shorter_window_comes_first(tmp_path: Path) -> None:
    b = record_alike(tmp_path, "b", windows=(3, 2, 3, 2), factors={(0, 2, MICRO): 2.0})
    found = of(record_alike(tmp_path, "a"), b).first_difference
    assert found is not None
    assert (found.update, found.clue) == (0, "micro_batch")


def test_what_was_dropped_is_no_difference(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", missing={1}))
    assert found.first_difference is None
    assert found.update.tolist() == [0, 2, 3]


def test_a_run_that_goes_on_is_not_the_same(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", windows=(3, 3, 3, 2, 3)))
    assert found.first_difference is None
    assert not found.is_same
    assert found.updates == (3, 4)


def test_layers_of_one_run_alone(tmp_path: Path) -> None:
    b = record_alike(tmp_path, "b", layers=(*LAYERS[:2], "new.weight"))
    found = of(record_alike(tmp_path, "a"), b)
    assert (found.layers, found.only_first, found.only_second) == (LAYERS[:2], LAYERS[2:], ("new.weight",))
    assert not found.is_same


def test_nothing_in_common(tmp_path: Path) -> None:
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", layers=("x", "y")))
    assert (found.compared, found.layers, found.is_same) == (0, (), False)
    empty = of(record_alike(tmp_path, "c", windows=()), record_alike(tmp_path, "d", windows=()))
    assert (empty.compared, empty.updates, empty.is_same) == (0, (-1, -1), False)


def test_pieces_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = record_alike(tmp_path, "a", windows=(3,) * 9)
    b = record_alike(tmp_path, "b", windows=(3,) * 9, factors={(6, 2, MICRO): 2.0, (7, 3, UPDATE): 3.0})
    whole = of(a, b)
    monkeypatch.setattr(sys.modules["gradviz.analysis.comparison"], "ROWS_AT_ONCE", 1)
    shares: list[float] = []
    pieces = of(a, b, progress=shares.append)
    assert pieces.first_difference == whole.first_difference
    assert (pieces.largest == whole.largest).all()
    assert (pieces.ratio_update == whole.ratio_update).all()
    assert shares == pytest.approx([(one + 1) / 9 for one in range(9)])


def test_only_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["gradviz.analysis.comparison"], "ROWS_AT_ONCE", 1)
    a, b = (record_alike(tmp_path, name, windows=(3,) * 9) for name in "ab")
    found = of(a, b, rows=3 * 5 * 4)
    assert found.update.tolist() == [0, 1, 2, 3]
    assert not found.is_complete
    assert not found.is_same


def test_the_ratio_of_what_was_consumed_where_it_is_farthest_from_one(tmp_path: Path) -> None:
    factors = {(0, 3, UPDATE): 2.0, (1, 3, UPDATE): 0.125, (2, 3, UPDATE): 3.0, (2, 2, MICRO): 99.0}
    found = of(record_alike(tmp_path, "a"), record_alike(tmp_path, "b", factors=factors))
    assert found.ratio.tolist() == pytest.approx([0.125, 1, 1])
    assert found.ratio_update[0] == 1


def test_damaged_parts_are_no_difference(tmp_path: Path) -> None:
    a, b = record_run(tmp_path, "a", windows=[4] * 6), record_run(tmp_path, "b", windows=[4] * 6)
    part = sorted((b / "gradients").rglob("*.parquet"))[0]
    part.write_bytes(b"PAR1 garbage")
    assert of(a, b).first_difference is None
