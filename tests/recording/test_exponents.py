"""Counts by binary exponent against a slow numpy loop, by every path, over dtypes, layouts and odd contents."""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradviz.recording import exponents
from gradviz.recording.exponents import PIECE, ExponentGauge, count_on_device, load_exponent_kernels
from gradviz.schema import BIN_NAMES, BINS

KERNELS = load_exponent_kernels()
GAUGES = {"kernel": ExponentGauge(KERNELS), "plain": ExponentGauge({})}
REAL = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
DTYPES = [*REAL, torch.complex64, torch.complex128]


def bin_of(magnitude: float) -> str | None:
    """The bin of one |x|, by the words of its name; None where it is not finite."""
    if not math.isfinite(magnitude):
        return None
    if magnitude == 0:
        return "zeros"
    exponent = math.frexp(magnitude)[1] - 1
    if exponent < -126:
        return "below_2^-126"
    if exponent < -64:
        return "2^-126_to_2^-65"
    return f"2^{exponent}" if exponent < 32 else "from_2^32"


def expected(x: torch.Tensor, scale: float = 1.0) -> list[int]:
    dense = x.to_dense() if x.is_sparse else x
    wide = dense.to(torch.complex128 if x.is_complex() else torch.float64).abs() / scale
    found = [bin_of(magnitude) for magnitude in wide.flatten().tolist()]
    return [found.count(name) for name in BIN_NAMES]


def counted(gauge: ExponentGauge, x: torch.Tensor, scale: float = 1.0) -> list[int]:
    out = np.full((3, BINS), 7, dtype=np.int64)
    gauge.count(x, out, 1, scale)
    assert (out[[0, 2]] == 7).all(), "a neighbour's row was touched"
    return out[1].tolist()


def spread(numel: int, dtype: torch.dtype) -> torch.Tensor:
    """Numbers of every size that the dtype has, with zeros, -0.0, NaN and infinities among them."""
    generator = np.random.default_rng(numel)
    limits = torch.finfo(dtype)
    low, high = math.log2(limits.smallest_normal) - 12, math.log2(limits.max)
    x = torch.from_numpy(2.0 ** generator.uniform(low, high, numel) * generator.choice([-1.0, 1.0], numel))
    x = x.to(dtype)
    for place, odd in enumerate([0.0, -0.0, math.nan, math.inf, -math.inf]):
        x[place::11] = odd
    return x


def test_numba_is_there() -> None:
    assert set(KERNELS) == set(REAL), "the fast path must be the one that is tested"


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("numel", [0, 1, 7, 8, 9, 1_000, 4_095, 4_096, 4_097, 40_000])
def test_sizes_and_dtypes(gauge: ExponentGauge, dtype: torch.dtype, numel: int) -> None:
    x = spread(numel, dtype)
    got = counted(gauge, x)
    assert got == expected(x)
    assert sum(got) == torch.isfinite(x).sum()


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_every_number_of_sixteen_bits(gauge: ExponentGauge, dtype: torch.dtype) -> None:
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    assert counted(gauge, x) == expected(x)
    assert counted(gauge, x, 2.0**12) == expected(x, 2.0**12)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 2.0, 65536.0, 2.0**40, 0.5, 2.0**-20, 3.0, 1000.0])
def test_a_scale_is_taken_out(gauge: ExponentGauge, dtype: torch.dtype, scale: float) -> None:
    x = spread(3_000, dtype)
    assert counted(gauge, x, scale) == expected(x, scale)
    assert count_on_device(x, torch.tensor(scale)).tolist() == expected(x, scale)


@given(
    arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32, allow_subnormal=True)),
    st.sampled_from([1.0, 2.0**16, 2.0**-3, 7.0]),
)
@settings(max_examples=200, deadline=None)
def test_both_paths_count_anything(values: np.ndarray, scale: float) -> None:
    x = torch.from_numpy(values)
    assert counted(GAUGES["kernel"], x, scale) == counted(GAUGES["plain"], x, scale) == expected(x, scale)


@given(arrays(np.float64, st.integers(0, 100), elements=st.floats(allow_subnormal=True)))
@settings(max_examples=100, deadline=None)
def test_both_paths_count_any_double(values: np.ndarray) -> None:
    x = torch.from_numpy(values)
    assert counted(GAUGES["kernel"], x) == counted(GAUGES["plain"], x) == expected(x)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.t(),
        lambda x: x[:, ::2],
        lambda x: x[1:],
        lambda x: x[1:2].expand(40, 50),
        lambda x: x[0, 0].expand(40, 50),
        lambda x: x.view(2, 20, 5, 10).to(memory_format=torch.channels_last),
        lambda x: torch._neg_view(x),
        lambda x: torch.complex(x.float(), x.float()).conj().imag,
    ],
    ids=["transposed", "every-other", "offset", "row", "scalar", "channels-last", "negated", "conjugate"],
)
def test_layouts(gauge: ExponentGauge, dtype: torch.dtype, layout: object) -> None:
    x = layout(spread(2_000, dtype).view(40, 50))  # type: ignore[operator]
    assert counted(gauge, x) == expected(x)


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
def test_sparse_duplicates_are_summed_and_the_rest_is_zero(gauge: ExponentGauge) -> None:
    x = torch.sparse_coo_tensor(torch.tensor([[1, 1, 4]]), torch.randn(3, 5), (10, 5), check_invariants=True)
    got = counted(gauge, x)
    assert got == expected(x)
    assert got[0] == 40


@pytest.mark.parametrize("gauge", GAUGES.values(), ids=GAUGES)
def test_more_than_a_piece(gauge: ExponentGauge) -> None:
    torch.manual_seed(0)
    x = torch.randn(PIECE + 4_099)
    exponent = torch.frexp(x).exponent - 1
    got = counted(gauge, x)
    for name, count in zip(BIN_NAMES[3:-1], got[3:-1], strict=True):
        assert count == int((exponent == int(name[2:])).sum())


def test_no_gradient_is_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expanded gradient of 40 MB takes scratch of a piece only: no element is asked for more than that."""
    largest = 0
    real = exponents._slots

    def watched(x: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, x.numel())
        return real(x)

    monkeypatch.setattr(exponents, "_slots", watched)
    got = counted(GAUGES["plain"], torch.tensor(0.3).expand(10, 1_000_000))
    assert got[BIN_NAMES.index("2^-2")] == 10_000_000
    assert 0 < largest <= PIECE


def test_without_numba_it_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradviz.recording.exponent_kernels", None)
    assert load_exponent_kernels() == {}


def test_a_compiler_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no locator")

    broken = types.ModuleType("exponent_kernels")
    vars(broken).update({kernel.__name__: fail for kernel in KERNELS.values()})
    monkeypatch.setitem(sys.modules, "gradviz.recording.exponent_kernels", broken)
    with pytest.warns(match="could not compile the counting of exponents"):
        assert load_exponent_kernels() == {}
