"""Every statistic against plain float64, by both paths, over dtypes, sizes, layouts and odd contents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from loop_story import KERNELS, expected

from gradviz.recording.statistics import PIECE, WIDTH, Gauge, measure_on_device

GAUGES = {"kernel": Gauge(KERNELS), "plain": Gauge({})}
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128]


def measured(gauge: Gauge, x: torch.Tensor) -> np.ndarray:
    out = np.full((3, WIDTH), 7.0)
    gauge.measure(x, out, 1, count_zeros=True)
    assert (out[[0, 2]] == 7.0).all(), "a neighbour's row was touched"
    return out[1]


def check(gauge: Gauge, x: torch.Tensor) -> None:
    np.testing.assert_allclose(measured(gauge, x), expected(x), rtol=1e-6, atol=0)


def test_numba_is_there() -> None:
    assert set(KERNELS) == {torch.float32, torch.float64}, "the fast path must be the one that is tested"


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("numel", [0, 1, 7, 1_000, 4_096, 4_097, PIECE, PIECE + 1, 1_000_000])
def test_sizes_and_dtypes(gauge: Gauge, dtype: torch.dtype, numel: int) -> None:
    torch.manual_seed(numel)
    check(gauge, torch.randn(numel, dtype=dtype) * 1e-3)


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
    np.testing.assert_allclose(kernel, plain, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("numel", [0, 1, 1_000, 100_000])
def test_the_device_path_agrees(dtype: torch.dtype, numel: int) -> None:
    torch.manual_seed(2)
    x = torch.randn(numel, dtype=dtype)
    np.testing.assert_allclose(measure_on_device(x).numpy(), expected(x), rtol=1e-6)


def test_the_device_path_counts_nonfinite() -> None:
    x = torch.tensor([1.0, float("nan"), float("inf"), 0.0])
    assert measure_on_device(x)[3:].tolist() == [2, 1]
