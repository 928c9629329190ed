"""Coherence and noise scale over rolling stretches, against the same of each stretch by itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gradviz.analysis.coherence import coherence_of
from gradviz.analysis.noise_over_time import (
    NoiseOverTime,
    noise_over_time,
    spread_updates,
    stretch_width,
)
from gradviz.analysis.story_reading import run_story
from gradviz.analysis.tables import table_of
from gradviz.store import open_run, sample_folder
from tests.made_stories import Vector, made_story

TRANSFORMER = sample_folder() / "healthy-transformer-n8"


def windows_of(count: int, *, noise: Vector, n: int = 4) -> list[list[list[Vector]]]:
    """One signal, and noise whose size changes from window to window."""
    rng = np.random.default_rng(3)
    return [[[(1 + rng.normal(0, noise[w], size=10)) / n] for _ in range(n)] for w in range(count)]


def test_each_point_is_what_its_stretch_gives_alone() -> None:
    windows = windows_of(60, noise=np.linspace(0.5, 2, 60))
    samples = {"samples": [8.0] * 240}
    found = noise_over_time(made_story(windows, micro=samples))
    assert (found.width, found.used, found.unit, found.reason) == (24, 60, "samples", "")
    assert (found.window, found.micro_batch) == (32, 8)
    assert len(found.first) == 60 - 24 + 1
    for place in (0, 17, 36):
        part = slice(int(found.first[place]), int(found.last[place]) + 1)
        alone = made_story(windows[part], micro={"samples": [8.0] * (4 * 24)})
        signal, noise = _by_hand(windows[part], size=8)
        assert found.noise[place] == pytest.approx(noise / signal, rel=1e-5)
        own = coherence_of(alone)
        expected = np.quantile(own.coherence, [0.1, 0.5, 0.9])
        got = [found.coherence_low[place], found.coherence[place], found.coherence_high[place]]
        np.testing.assert_allclose(got, expected)
        assert found.floor[place] == pytest.approx(np.median(own.floor))


def _by_hand(windows: list[list[list[Vector]]], *, size: float) -> tuple[float, float]:
    """Means over windows of |G|^2 and of the trace of its covariance, of n equal micro-batches that are averaged."""
    parts = []
    for window in windows:
        own = np.array([micro[0] for micro in window])
        n = len(own)
        p, q = np.sum(own.sum(axis=0) ** 2), np.sum(own**2)
        a = (p - q) / (1 - 1 / n)
        parts.append((a, (q - a / n) / (1 / (n * size))))
    signal, noise = np.mean(parts, axis=0)
    return float(signal), float(noise)


def test_a_noise_scale_by_hand() -> None:
    """n = 3 windows of P = 14 and Q = 6 all alike: t / a = 1/2 micro-batch, in every stretch and without a band."""
    window = [[np.array([1.0, 1.0, 0.0])], [np.array([1.0, 0.0, 1.0])], [np.array([1.0, 1.0, 0.0])]]
    found = noise_over_time(made_story([window] * 20))
    assert found.unit == "micro-batches"
    np.testing.assert_allclose(found.noise, 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.noise_high - found.noise_low, 0, atol=1e-3)


def test_noise_that_grows_is_seen_to_grow_within_its_band() -> None:
    """B_simple = 10 sigma^2 / 10 in samples of one each: it follows sigma^2 from 0.25 to 4."""
    sigma = np.linspace(0.5, 2, 600)
    found = noise_over_time(made_story(windows_of(600, noise=sigma, n=8)))
    truth = np.array([np.mean(sigma[a : b + 1] ** 2) for a, b in zip(found.first, found.last, strict=True)])
    inside = (found.noise_low <= truth) & (truth <= found.noise_high)
    assert inside.mean() > 0.85
    assert len(found.first) == 120
    assert found.noise[-1] > 5 * found.noise[0]


def made(reason: str) -> NoiseOverTime:
    windows = windows_of(30, noise=np.ones(30))
    story = made_story(windows)
    if reason == "nothing":
        return noise_over_time(run_story(open_run(TRANSFORMER), updates=[(900, 999)]))
    if reason == "ranks":
        story = replace(story, ranks=2)
    elif reason == "shares":
        layers = replace(story.layers, fired=0 * story.layers.fired, own=0 * story.layers.own)
        story = replace(story, layers=layers)
    elif reason == "single":
        story = made_story(windows_of(30, noise=np.ones(30), n=1))
    elif reason == "unsound":
        story = replace(story, consumed=np.zeros(30, dtype=bool))
    elif reason == "few":
        story = made_story(windows[:7])
    return noise_over_time(story)


@pytest.mark.parametrize("reason", ["nothing", "ranks", "shares", "single", "unsound", "few"])
def test_it_says_why_there_is_nothing(reason: str) -> None:
    found = made(reason)
    assert found.reason == reason
    assert len(found.noise) == len(found.coherence_low) == 0


def test_a_story_of_some_layers_and_windows_is_the_same_story() -> None:
    run = open_run(TRANSFORMER)
    names = [str(name) for name in run.layers["layer"][:3]]
    whole, part = run_story(run), run_story(run, layers=names, updates=[(0, 9), (40, 63)])
    assert part.table.names == tuple(names)
    assert list(part.update) == [*range(10), *range(40, 64)]
    places = np.isin(whole.update, part.update)
    np.testing.assert_array_equal(part.layers.own, whole.layers.own[:3][:, places])
    assert part.windows_total == whole.windows_total


def test_ranges_spread_over_a_long_run_stay_within_what_may_be_read() -> None:
    events = open_run(TRANSFORMER).events()
    assert spread_updates(events, most=len(events), pieces=3) is None
    spans = spread_updates(events, most=len(events) // 2, pieces=3)
    assert spans == [(0, 15), (42, 57), (85, 100)]
    assert spread_updates(events, most=10, pieces=2) == [(0, 7), (93, 100)]
    crowded = spread_updates(events, most=10, pieces=50)
    assert crowded is not None
    assert all(after[0] > before[1] for before, after in pairwise(crowded))


def test_a_stretch_grows_with_the_run() -> None:
    assert [stretch_width(count) for count in (2, 20, 100, 1200)] == [8, 10, 24, 100]


def test_its_table_has_a_row_a_stretch() -> None:
    found = noise_over_time(run_story(open_run(TRANSFORMER)))
    table = table_of(found)
    assert len(table) == len(found.first) == 77
    np.testing.assert_array_equal(table["noise_high"], found.noise_high)
