"""Columns against a slow, obvious computation in plain Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradviz.schema import (
    L1,
    MAX,
    MICRO_L1,
    MICRO_MAX,
    MICRO_NONFINITE,
    MICRO_SQUARES,
    NONFINITE,
    PREVIOUS_SQUARES,
    SQUARES,
    SUMS_WIDTH,
    ZEROS,
    EventRecord,
    Phase,
)
from gradviz.store.statistics import fetch_sums, gradient_columns, statistics_of

finite = st.floats(-1e4, 1e4, allow_subnormal=False)


def sums_of(own: list[float], before: list[float]) -> np.ndarray:
    """What the recorder would see: g_k = own, G_{k-1} = before."""
    after = [a + b for a, b in zip(own, before, strict=True)]
    sums = np.zeros(SUMS_WIDTH)
    sums[L1], sums[SQUARES] = sum(map(abs, after)), sum(x * x for x in after)
    sums[MAX], sums[ZEROS] = max(map(abs, after)), after.count(0.0)
    sums[MICRO_L1], sums[MICRO_SQUARES] = sum(map(abs, own)), sum(x * x for x in own)
    sums[MICRO_MAX], sums[PREVIOUS_SQUARES] = max(map(abs, own)), sum(x * x for x in before)
    return sums


def one_row(sums: np.ndarray, numel: int, phase: Phase) -> dict[str, float | None]:
    columns = statistics_of(sums[:, None], np.array([numel]), np.array([phase], dtype=np.int8))
    return {name: column.values[0].item() if column.exists[0] else None for name, column in columns.items()}


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
def test_micro_step_matches_plain_python(pairs: list[tuple[float, float]]) -> None:
    own, before = [a for a, _ in pairs], [b for _, b in pairs]
    after = [a + b for a, b in pairs]
    row = one_row(sums_of(own, before), len(pairs), Phase.MICRO_STEP)

    def close(value: float) -> object:
        return pytest.approx(value, rel=1e-6, abs=1e-37)

    assert row["mean_abs"] == close(sum(map(abs, after)) / len(after))
    assert row["l2"] == close(math.sqrt(sum(x * x for x in after)))
    assert row["max_abs"] == close(max(map(abs, after)))
    assert row["micro_mean_abs"] == close(sum(map(abs, own)) / len(own))
    assert row["micro_l2"] == close(math.sqrt(sum(x * x for x in own)))
    assert row["micro_max_abs"] == close(max(map(abs, own)))
    assert row["zeros"] is None
    assert row["nonfinite"] == row["micro_nonfinite"] == 0


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=20))
def test_cosine_matches_the_dot_product(pairs: list[tuple[float, float]]) -> None:
    own, before = [a for a, _ in pairs], [b for _, b in pairs]
    lengths = math.hypot(*own), math.hypot(*before)
    cosine = one_row(sums_of(own, before), len(pairs), Phase.MICRO_STEP)["cosine"]
    if min(lengths) < 1e-3:  # squares underflow or cancel: no cosine, or one that rounding decides
        assert cosine is None or -1 <= cosine <= 1
        return
    dot = sum(a * b for a, b in pairs)
    cancelled = max(lengths) / min(lengths) * 1e-14
    assert cosine == pytest.approx(dot / (lengths[0] * lengths[1]), abs=1e-6 + cancelled)


def test_no_gradient_is_null_and_an_empty_tensor_is_zero() -> None:
    nothing = np.zeros(SUMS_WIDTH)
    nothing[NONFINITE] = nothing[MICRO_NONFINITE] = -1
    assert set(one_row(nothing, 5, Phase.MICRO_STEP).values()) == {None}
    empty = one_row(np.zeros(SUMS_WIDTH), 0, Phase.UPDATE)
    assert empty["mean_abs"] == empty["l2"] == empty["max_abs"] == empty["zeros"] == 0.0
    assert empty["cosine"] is empty["micro_l2"] is None


def test_a_gradient_that_is_not_finite_stays_nan_and_is_counted() -> None:
    sums = sums_of([1.0, 2.0], [3.0, 4.0])
    sums[[L1, SQUARES, MAX, MICRO_L1, MICRO_SQUARES, MICRO_MAX]] = math.nan
    sums[NONFINITE] = sums[MICRO_NONFINITE] = 2
    row = one_row(sums, 2, Phase.MICRO_STEP)
    assert all(math.isnan(row[name] or 0.0) for name in ("mean_abs", "l2", "max_abs", "micro_l2", "cosine"))
    assert row["nonfinite"] == row["micro_nonfinite"] == 2


@pytest.mark.parametrize("previous", [math.nan, 0.0])
def test_no_cosine_without_a_previous_gradient(previous: float) -> None:
    sums = sums_of([1.0, 2.0], [0.0, 0.0])
    sums[PREVIOUS_SQUARES] = previous
    assert one_row(sums, 2, Phase.MICRO_STEP)["cosine"] is None


def test_no_cosine_of_a_zero_gradient_and_none_that_cannot_be() -> None:
    assert one_row(sums_of([0.0, 0.0], [1.0, 1.0]), 2, Phase.MICRO_STEP)["cosine"] is None
    impossible = sums_of([1.0, 0.0], [1.0, 0.0])
    impossible[SQUARES] *= 2  # another hook changed the gradient after ours: G_k is not G_{k-1} + g_k
    assert one_row(impossible, 2, Phase.MICRO_STEP)["cosine"] is None


def test_cosine_is_clipped_within_rounding() -> None:
    rounded = sums_of([1.0, 1.0], [1.0, 1.0])
    rounded[SQUARES] *= 1.001
    assert one_row(rounded, 2, Phase.MICRO_STEP)["cosine"] == 1.0


def test_ragged_and_regular_batches_give_the_same_columns() -> None:
    rng = np.random.default_rng(0)
    ids, numels = np.arange(3, dtype=np.int32), np.array([4, 5, 6])
    regular = [
        EventRecord(e, 0, e, Phase.MICRO_STEP, 0.0, ids, numels, rng.random((3, SUMS_WIDTH)), {})
        for e in range(4)
    ]
    extra = EventRecord(4, 0, 4, Phase.UPDATE, 0.0, ids[1:2], numels[1:2], rng.random((1, SUMS_WIDTH)), {})
    without = gradient_columns(regular, [fetch_sums(record) for record in regular])
    ragged = gradient_columns([*regular, extra], [fetch_sums(record) for record in [*regular, extra]])
    kept = ragged["event"].values != 4
    for name, column in without.items():
        np.testing.assert_array_equal(ragged[name].values[kept], column.values)
    assert ragged["event"].values.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 1, 2, 3]


def test_sums_of_the_wrong_shape_are_refused() -> None:
    record = EventRecord(
        7,
        0,
        0,
        Phase.RESET,
        0.0,
        np.arange(2, dtype=np.int32),
        np.ones(2, int),
        np.zeros((3, SUMS_WIDTH)),
        {},
    )
    with pytest.raises(ValueError, match=r"event 7: sums of shape \(3, 13\) for 2 layers"):
        fetch_sums(record)
