"""Every statistic against plain float64, by both paths, over dtypes, sizes, layouts and odd contents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from loop_story import KERNELS, expected

from gradviz.recording.pieces import PIECE
from gradviz.recording.statistics import PLAIN, WIDTH, Gauge, measure_on_device

GAUGES = {"kernel": Gauge(KERNELS), "plain": Gauge(PLAIN)}
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128]


def measured(gauge: Gauge, x: torch.Tensor) -> np.ndarray:
    out = np.full((3, WIDTH), 7.0)
    gauge.measure(x, out, 1, count_zeros=True)
    assert (out[[0, 2]] == 7.0).all(), "a neighbour's row was touched"
    return out[1]


def check(gauge: Gauge, x: torch.Tensor) -> None:
    np.testing.assert_allclose(measured(gauge, x), expected(x), rtol=1e-6, atol=0)


def test_numba_is_there() -> None:
    assert set(KERNELS.single) == {torch.float32, torch.float64}, (
        "the fast path must be the one that is tested"
    )


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("numel", [0, 1, 7, 1_000, 4_096, 4_097, PIECE, PIECE + 1, 1_000_000])
def test_sizes_and_dtypes(gauge: Gauge, dtype: torch.dtype, numel: int) -> None:
    torch.manual_seed(numel)
    check(gauge, torch.randn(numel, dtype=dtype) * 1e-3)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-25, 1e-13, 1e-12, 1.0, 1e16, 1e17, 1e18, 1e19, 1e38])
def test_magnitudes_that_float32_squares_cannot_hold(gauge: Gauge, scale: float) -> None:
    torch.manual_seed(3)
    check(gauge, torch.rand(10_000) * scale)
    check(gauge, torch.cat([torch.rand(5_000) * scale, torch.rand(5_000)]))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1.1, 1.0000001, 3.3e-5, 16777217.0, 5e-13])
def test_equal_elements_do_not_pile_up_their_rounding(value: float) -> None:
    check(GAUGES["kernel"], torch.full((1_000_003,), value))


@pytest.mark.parametrize("numel", [10_000_000, 50_000_000])
@pytest.mark.parametrize("fill", ["random", "constant"])
def test_fifty_million(numel: int, fill: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(numel) if fill == "random" else torch.full((numel,), 0.1)
    got = measured(GAUGES["kernel"], x)
    total = sum(float(part.double().abs().sum()) for part in x.split(1_000_000))
    squares = sum(float(part.double().square().sum()) for part in x.split(1_000_000))
    np.testing.assert_allclose(got[:3], [total, squares, float(x.abs().max())], rtol=1e-6)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.t(),
        lambda x: x[:, ::2],
        lambda x: x[1:2].expand(300, 400),
        lambda x: x[0, 0].expand(300, 400),
        lambda x: x.view(3, 100, 20, 20).to(memory_format=torch.channels_last),
        lambda x: x.unsqueeze(1),
        lambda x: x.flip(0),
    ],
    ids=[
        "transposed",
        "every-other",
        "expanded-row",
        "expanded-scalar",
        "channels-last",
        "unit-axis",
        "flipped",
    ],
)
def test_layouts(gauge: Gauge, dtype: torch.dtype, layout: object) -> None:
    torch.manual_seed(1)
    check(gauge, layout(torch.randn(300, 400, dtype=dtype)))  # type: ignore[operator]


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
def test_sparse_duplicates_are_summed_and_the_rest_is_zero(gauge: Gauge) -> None:
    x = torch.sparse_coo_tensor(torch.tensor([[1, 1, 4]]), torch.randn(3, 5), (10, 5), check_invariants=True)
    check(gauge, x)
    assert measured(gauge, x)[4] == 40


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 5_000, 9_999])
def test_nonfinite_is_counted_and_stays_visible(
    gauge: Gauge, dtype: torch.dtype, bad: float, place: int
) -> None:
    x = torch.ones(10_000, dtype=dtype)
    x[place] = bad
    x[17] = 0
    total, squares, top, nonfinite, zeros = measured(gauge, x)
    assert nonfinite == 1
    assert zeros == 1
    for number in (total, squares, top):
        assert np.isnan(number) if np.isnan(bad) else number == np.inf


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
def test_nan_beside_inf_keeps_both_in_the_count(gauge: Gauge) -> None:
    x = torch.ones(9_000)
    x[3], x[8_999] = float("inf"), float("nan")
    _, _, top, nonfinite, _ = measured(gauge, x)
    assert np.isnan(top)
    assert nonfinite == 2


def test_huge_complex_does_not_overflow() -> None:
    check(GAUGES["kernel"], torch.full((5,), complex(2.5e38, 2.5e38), dtype=torch.complex64))


@given(
    arrays(
        np.float32,
        st.integers(0, 300),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True),
    )
)
@settings(max_examples=200, deadline=None)
def test_both_paths_agree_on_anything(values: np.ndarray) -> None:
    x = torch.from_numpy(values)
    kernel, plain = measured(GAUGES["kernel"], x), measured(GAUGES["plain"], x)
    np.testing.assert_allclose(kernel, plain, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("numel", [0, 1, 1_000, 100_000])
def test_the_device_path_agrees(dtype: torch.dtype, numel: int) -> None:
    torch.manual_seed(2)
    x = torch.randn(numel, dtype=dtype)
    np.testing.assert_allclose(measure_on_device(x).numpy(), expected(x), rtol=1e-6)


def test_the_device_path_counts_nonfinite() -> None:
    x = torch.tensor([1.0, float("nan"), float("inf"), 0.0])
    assert measure_on_device(x)[3:].tolist() == [2, 1]


@given(
    arrays(np.float32, 700, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    st.sampled_from([1e-40, 1e-20, 1.0, 1e10, 1e30]),
    st.integers(0, 700),
)
@settings(max_examples=200, deadline=None)
def test_a_gradient_and_its_sum_in_one_pass(values: np.ndarray, scale: float, numel: int) -> None:
    torch.manual_seed(numel)
    x, y = torch.from_numpy(values[:numel]), torch.randn(numel) * scale
    own, both = np.full((3, WIDTH), 7.0), np.full((3, WIDTH), 7.0)
    assert GAUGES["kernel"].measure_pair(x, y, own, both, 1)
    assert not GAUGES["plain"].measure_pair(x, y, own, both, 1)
    np.testing.assert_allclose(own[1, :4], expected(x)[:4], rtol=1e-6)
    np.testing.assert_allclose(both[1, :4], expected(x + y)[:4], rtol=1e-6)
    assert (own[[0, 2]] == 7.0).all()
    assert (both[[0, 2]] == 7.0).all()


@pytest.mark.parametrize(
    "other",
    [torch.zeros(6, dtype=torch.float64), torch.zeros(5), torch.zeros(12)[::2], torch.zeros(6).to_sparse()],
    ids=["float64", "shorter", "strided", "sparse"],
)
def test_what_cannot_be_read_in_one_pass_is_refused(other: torch.Tensor) -> None:
    out = np.zeros((1, WIDTH))
    assert not GAUGES["kernel"].measure_pair(torch.ones(6), other, out, out, 0)
    assert not GAUGES["kernel"].measure_pair(other, torch.ones(6), out, out, 0)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("count_zeros", [False, True])
def test_many_in_one_call_are_as_each_alone(gauge: Gauge, count_zeros: bool) -> None:
    torch.manual_seed(0)
    xs = [
        torch.randn(7),
        torch.zeros(3, 5),
        torch.tensor([1.0, torch.nan, torch.inf]),
        torch.randn(4, 6).t(),
        torch.randn(9, dtype=torch.float64),
        torch.randn(8).bfloat16(),
        torch.ones(0),
        torch.sparse_coo_tensor([[1, 1]], [2.0, 3.0], (4,), check_invariants=True),
    ]
    rows = [3, 0, 6, 1, 7, 2, 5, 4]
    together, alone = np.full((len(xs) + 1, WIDTH), 9.0), np.full((len(xs) + 1, WIDTH), 9.0)
    gauge.measure_all(list(zip(rows, xs, strict=True)), together, count_zeros)
    for x, row in zip(xs, rows, strict=True):
        gauge.measure(x, alone, row, count_zeros)
    np.testing.assert_array_equal(together, alone)
    assert (together[len(xs)] == 9).all()
    gauge.measure_all([], together)
