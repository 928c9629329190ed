"""Coherence and noise scale over time as drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from gradviz.analysis.noise_over_time import noise_over_time
from gradviz.analysis.story_reading import run_story
from gradviz.figures.noise_over_time import plot_noise_over_time
from gradviz.store import open_run, sample_folder
from gradviz.texts import LANGUAGES, text

DIGITS = noise_over_time(run_story(open_run(sample_folder() / "healthy-digits-n4-short-last-window")))
WEAK = noise_over_time(run_story(open_run(sample_folder() / "vanishing-deep-sigmoid")))


def sentence(figure: go.Figure) -> str:
    return str(figure.layout.title.subtitle.text).replace("<br>", " ")


def named(figure: go.Figure, key: str) -> go.Scatter:
    name = text(f"figure.noise_over_time.{key}")
    return next(trace for trace in figure.data if trace.name == name)


def test_lines_and_bands_are_those_of_the_record() -> None:
    figure = plot_noise_over_time(DIGITS)
    middle = (DIGITS.first + DIGITS.last) / 2
    np.testing.assert_array_equal(named(figure, "coherence").x, middle)
    np.testing.assert_array_equal(named(figure, "coherence").y, DIGITS.coherence)
    np.testing.assert_array_equal(named(figure, "floor").y, DIGITS.floor)
    np.testing.assert_array_equal(named(figure, "noise").y, DIGITS.noise)
    band = named(figure, "noise_band").y
    bounded = np.isfinite(DIGITS.noise_high)
    np.testing.assert_allclose(band[: len(middle)][bounded], DIGITS.noise_high[bounded])
    np.testing.assert_allclose(band[len(middle) :][::-1], DIGITS.noise_low)


def test_what_is_only_bounded_from_below_has_a_mark_of_its_own_and_no_line() -> None:
    assert np.isposinf(WEAK.noise_high).any()
    figure = plot_noise_over_time(WEAK)
    top = 10 ** figure.layout.yaxis2.range[1]
    band = named(figure, "noise_band").y
    assert np.isfinite(band).all()
    assert band.max() <= top
    lost = replace(WEAK, noise=np.full(len(WEAK.noise), np.inf))
    marks = named(plot_noise_over_time(lost), "at_least")
    assert len(marks.x) == len(lost.noise)
    assert "∞" in marks.hovertext[0]
    assert "at least" in sentence(plot_noise_over_time(lost))


@pytest.mark.parametrize(
    ("window", "words"), [(1.0, "would still remove noise"), (1e6, "a shorter one"), (None, "about what")]
)
def test_the_sentence_weighs_the_window_against_the_interval(window: float | None, words: str) -> None:
    size = float(DIGITS.noise[-1]) if window is None else window
    assert words in sentence(plot_noise_over_time(replace(DIGITS, window=size)))


def test_a_long_run_says_what_was_read_and_micro_batches_why() -> None:
    said = sentence(plot_noise_over_time(replace(DIGITS, total=9000, unit="micro-batches")))
    assert f"of 9000 windows {DIGITS.read}, spread evenly, were read" in said
    assert "Neither samples were logged" in said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", ["nothing", "ranks", "shares", "single", "unsound", "few"])
def test_it_says_why_it_is_empty(reason: str, language: str) -> None:
    figure = plot_noise_over_time(replace(DIGITS, reason=reason, used=3, read=20), language=language)
    assert not figure.data
    words = text(f"figure.noise_over_time.empty_{reason}", language, used=3, read=20)
    assert figure.layout.annotations[0].text.replace("<br>", "").replace(" ", "") == words.replace(" ", "")
