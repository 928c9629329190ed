"""Noise scale and coherence against closed forms and windows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gradviz
from gradviz.analysis.coherence import coherence_of
from gradviz.analysis.noise import noise_of, ratio
from gradviz.errors import QueryError
from gradviz.store.places import sample_folder
from tests.made_stories import Vector, made_story


def regression_windows(
    rng: np.random.Generator, weight: Vector, *, windows: int, n: int, size: int
) -> list[list[list[Vector]]]:
    """Gradients of 0.5 (x w)^2 with x in {-1, 1}^d and no noise in the labels: g = x (x w), and B_simple = d - 1."""
    made = []
    for _ in range(windows):
        inputs = rng.choice([-1.0, 1.0], size=(n, size, len(weight)))
        micro = np.einsum("nbd,nb->nd", inputs, inputs @ weight) / size / n
        made.append([[gradient] for gradient in micro])
    return made


@pytest.mark.parametrize("seed", range(3))
def test_linear_regression_has_a_noise_scale_of_d_minus_1_at_every_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=12) * rng.lognormal(sigma=2)
    windows = regression_windows(rng, weight, windows=4000, n=4, size=3)
    noise = noise_of(made_story(windows), samples=3)
    assert noise.unit == "samples"
    assert noise.window == 12
    assert noise.total.value == pytest.approx(11, rel=0.08)
    assert abs(noise.total.value - 11) < noise.total.high - noise.total.low  # four standard errors
    assert noise.layers["layer_0.weight"].value == pytest.approx(noise.total.value, rel=1e-5)


def test_layers_alone_and_together() -> None:
    """Two layers with noise scales of 3 and 15: together the parts add up, not the ratios."""
    rng = np.random.default_rng(1)
    small, large = np.full(4, 1.0), np.full(16, 0.1)
    parts = [regression_windows(rng, weight, windows=6000, n=4, size=2) for weight in (small, large)]
    windows = [[[a[0], b[0]] for a, b in zip(one, two, strict=True)] for one, two in zip(*parts, strict=True)]
    noise = noise_of(made_story(windows), samples=2)
    assert noise.layers["layer_0.weight"].value == pytest.approx(3, rel=0.1)
    assert noise.layers["layer_1.weight"].value == pytest.approx(15, rel=0.15)
    signal, trace = 4 + 0.16, 3 * 4 + 15 * 0.16
    assert noise.total.value == pytest.approx(trace / signal, rel=0.1)


def test_windows_by_hand() -> None:
    """Orthogonal, aligned and opposed pairs: P, Q, cosines and both parts are known exactly."""
    x, y = np.array([3.0, 0.0]), np.array([0.0, 4.0])
    pairs = {"orthogonal": (x, y), "aligned": (x, 2 * x), "opposed": (x, -x / 3)}
    told = coherence_of(made_story([[[a], [b]] for a, b in pairs.values()]))
    np.testing.assert_allclose(told.gain, [25 / 25, 81 / 45, 4 / 10], rtol=1e-6)
    np.testing.assert_allclose(told.alignment, [0, 0.8, -0.6], atol=1e-6)
    np.testing.assert_allclose(told.coherence, [5 / 7, 1, 2 / 4], rtol=1e-6)
    np.testing.assert_allclose(told.floor, [5 / 7, np.sqrt(45) / 9, np.sqrt(10) / 4], rtol=1e-6)
    np.testing.assert_allclose(told.layer_gain[0], told.gain, rtol=1e-6)
    np.testing.assert_allclose(told.layer_coherence[0], told.coherence, rtol=1e-6)


def test_parts_by_hand() -> None:
    """n = 3, one window eight times: P = 14, Q = 6 give a = 4/3 and t = (6 - 14/3) / 2 = 2/3."""
    window = [[np.array([1.0, 1.0, 0.0])], [np.array([1.0, 0.0, 1.0])], [np.array([1.0, 1.0, 0.0])]]
    noise = noise_of(made_story([window] * 8))
    assert noise.unit == "micro-batches"
    assert noise.total.signal == pytest.approx(3**2 * (14 - 6) / 6)  # of the mean, as if each weighed a third
    assert noise.total.value == pytest.approx((2 / 3) / (4 / 3))


def test_weighted_windows_are_unbiased() -> None:
    """Micro-batches of 2 to 30 samples, weighed by their share of the window: the same noise scale of 7."""
    rng = np.random.default_rng(2)
    weight = np.full(8, 0.7)
    windows, sizes, factors = [], [], []
    for _ in range(6000):
        size = rng.integers(2, 31, size=3)
        window = []
        for count in size:
            inputs = rng.choice([-1.0, 1.0], size=(count, 8))
            window.append([inputs.T @ (inputs @ weight) / size.sum()])
        windows.append(window)
        sizes += list(size)
        factors += [1 / size.sum()] * 3
    story = made_story(windows, micro={"loss_weight": factors, "loss_elements": sizes})
    noise = noise_of(story)
    assert noise.unit == "elements"
    assert noise.total.value == pytest.approx(7, rel=0.08)
    assert noise.total.signal == pytest.approx(np.sum(weight**2), rel=0.03)
    as_if_equal = noise_of(made_story(windows), samples=float(np.mean(sizes)))
    assert abs(as_if_equal.total.value - 7) > 3 * abs(noise.total.value - 7)


def test_without_replacement_the_signal_is_too_small_by_t_over_n() -> None:
    """Windows of 24 from a population of 32: only with its size is the population's noise scale found."""
    rng = np.random.default_rng(3)
    population = rng.normal(size=(32, 5)) + 0.4
    mean = population.mean(axis=0)
    truth = np.sum(np.var(population, axis=0, ddof=1)) / np.sum(mean**2)
    windows = []
    for _ in range(4000):
        drawn = population[rng.permutation(32)[:24]].reshape(4, 6, 5).mean(axis=1) / 4
        windows.append([[gradient] for gradient in drawn])
    story = made_story(windows)
    assert noise_of(story, samples=6, dataset_size=32).total.value == pytest.approx(truth, rel=0.02)
    assert noise_of(story, samples=6).total.value > 1.15 * truth


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = []
    for _ in range(300):
        signal = rng.normal(1.0, 2.0, size=200)
        told = ratio(signal, rng.normal(5.0, 1.0, size=200) + 0.5 * (signal - 1))
        held.append(told.low <= 5 <= told.high)
    assert 0.91 < np.mean(held) < 0.985


def test_noise_without_signal_is_not_resolved() -> None:
    rng = np.random.default_rng(5)
    windows = [[[rng.normal(size=50)] for _ in range(4)] for _ in range(60)]
    total = noise_of(made_story(windows), samples=1).total
    assert not total.resolved
    assert total.high == np.inf
    assert total.low > 20


def test_too_few_windows_say_nothing() -> None:
    told = noise_of(made_story([[[np.ones(2)], [np.ones(2)]]] * 3)).total
    assert np.isnan(told.value)
    assert told.windows == 3
    assert not told.resolved


def test_ranks_that_average_their_gradients_are_left_out() -> None:
    windows = [[[np.ones(2)], [np.array([1.0, 0.0])]]] * 20
    assert noise_of(made_story(windows, ranks=2)).total.windows == 0
    assert len(coherence_of(made_story(windows, ranks=2)).gain) == 0


def test_of_a_recorded_run() -> None:
    run = gradviz.open_run(sample_folder() / "healthy-transformer-n8")
    noise = gradviz.noise_scale(run)
    assert (noise.unit, noise.micro_batch, noise.window) == ("samples", 8, 64)
    assert noise.total.resolved
    assert noise.total.low < noise.total.value < noise.total.high
    assert len(noise.blocks) == len(noise.updates)
    assert set(noise.layers) == set(run.layers["layer"])
    told = gradviz.coherence(run)
    assert ((told.coherence > told.floor * 0.9) & (told.coherence <= 1)).all()


def test_numbers_that_make_no_sense() -> None:
    run = gradviz.open_run(sample_folder() / "healthy-transformer-n8")
    with pytest.raises(QueryError, match=r"samples=-1.* must be above 0"):
        gradviz.noise_scale(run, samples=-1)
