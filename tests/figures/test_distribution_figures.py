"""Distributions as drawn: every element in a bar, limits and zeros in place, a sentence where there is nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import cycle, pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from gradviz.analysis import Distribution, distribution, merge_updates
from gradviz.figures import plot_distribution, plot_distribution_ridge
from gradviz.figures.distribution import share_text
from gradviz.figures.exponent_axis import exponent_axis, power
from gradviz.schema import BIN_NAMES, BINS, HUGE_BIN, SUBNORMAL_BIN, ZEROS_BIN
from gradviz.texts import LANGUAGES, text
from tests.figures.test_every_figure import HOSTILE, texts_of
from tests.reference_distributions import LAYERS, reference_distributions

FIGURES = {"bars": plot_distribution, "ridge": plot_distribution_ridge}


def subtitle(figure: go.Figure) -> str:
    return str(figure.layout.title.subtitle.text).replace("<br>", " ").replace("\u00a0", " ")


def record_of(**counts: int) -> Distribution:
    """One update whose bins hold `counts`, by name; `minus_` stands for 2^-."""
    row = np.zeros((1, BINS), dtype=np.int64)
    for name, count in counts.items():
        row[0, BIN_NAMES.index(name.replace("minus_", "2^-").replace("plus_", "2^"))] = count
    one = np.array([7])
    return Distribution("layer", row, one, one, np.array([1]))


def all_zero() -> pd.DataFrame:
    frame = reference_distributions(updates=3)
    frame[list(BIN_NAMES[1:])] = 0
    return frame


def everything_everywhere() -> pd.DataFrame:
    return reference_distributions(updates=3).assign(**dict.fromkeys(BIN_NAMES, 10))


INPUTS: dict[str, Callable[[], pd.DataFrame]] = {
    "healthy": reference_distributions,
    "empty": lambda: reference_distributions(updates=0),
    "one update": lambda: reference_distributions(updates=1),
    "all zero": all_zero,
    "not finite": lambda: reference_distributions(updates=2).assign(**dict.fromkeys(BIN_NAMES, 0)),
    "every bin": everything_everywhere,
    "hostile names": lambda: reference_distributions(updates=3, layers=HOSTILE),
}


@pytest.mark.parametrize("odd", INPUTS)
@pytest.mark.parametrize("figure", FIGURES)
def test_a_picture_or_a_sentence(figure: str, odd: str) -> None:
    frame = INPUTS[odd]()
    layers = [None, *frame["layer"].cat.categories]
    for layer, language in zip(layers, cycle(LANGUAGES), strict=False):
        drawn = FIGURES[figure](distribution(frame, layer=layer), language=language)
        sentence = drawn.layout.title.subtitle.text or drawn.layout.annotations[0].text
        assert len(sentence) > 5
        assert drawn.layout.title.text
        assert bool(drawn.data) == (odd not in ("empty", "not finite"))
        for trace in drawn.data:
            assert isinstance(trace.x, np.ndarray)
            assert isinstance(trace.y, np.ndarray)


@pytest.mark.parametrize("figure", FIGURES)
def test_names_never_become_markup(figure: str) -> None:
    ours = re.compile(r"</?(b|sub|br|extra)>|%\{(customdata(\[\d+\])?|x|y|text)(:[^}]*)?\}")
    for layer in HOSTILE:
        drawn = FIGURES[figure](distribution(INPUTS["hostile names"](), layer=layer))
        for words in texts_of(drawn):
            assert not re.search(r"<\w|</|%\{|\$.*\$|\u202e", ours.sub("", words)), words


def test_nothing_recorded_says_how_to_record() -> None:
    figure = plot_distribution(distribution(reference_distributions(updates=0), layer=LAYERS[0]))
    assert "watch(..., distributions=True)" in figure.layout.annotations[0].text.replace("<br>", " ")


def test_every_element_is_in_a_bar_of_the_right_colour() -> None:
    record = record_of(zeros=1, minus_30=2, minus_24=4, minus_15=8, minus_14=16, plus_15=32, plus_16=64)
    figure = plot_distribution(record)
    kinds = {trace.name: int(trace.customdata.sum()) for trace in figure.data}
    named = {
        text(f"figure.distribution.{kind}"): kind
        for kind in ("normal", "subnormal", "lost", "overflow", "zero")
    }
    assert {named[name]: count for name, count in kinds.items()} == {
        "zero": 1, "lost": 2, "subnormal": 4 + 8, "normal": 16 + 32, "overflow": 64
    }  # fmt: skip
    shares = np.concatenate([trace.y for trace in figure.data])
    assert shares.sum() == pytest.approx(1)


def test_a_bar_stands_between_its_powers_of_two() -> None:
    bars = plot_distribution(record_of(minus_12=3)).data[0]
    at = list(bars.text).index(f"{power(-12)} … {power(-11)}")
    assert bars.customdata[at] == 3
    assert bars.x[at] == -11.5


def test_the_limits_are_drawn_where_they_are() -> None:
    figure = plot_distribution(record_of(minus_12=3, plus_20=1))
    lines = sorted(shape.x0 for shape in figure.layout.shapes)
    axis = exponent_axis(record_of(minus_12=3, plus_20=1).counts[0])
    assert lines == [axis.shelves[1].right, -24, -14, 16]
    assert axis.shelves[1].bin == SUBNORMAL_BIN


def test_shelves_do_not_overlap_and_zeros_stand_at_the_far_left() -> None:
    axis = exponent_axis(np.ones(BINS, dtype=np.int64))
    columns = sorted((*axis.shelves, *axis.columns), key=lambda column: column.left)
    assert [column.bin for column in columns] == list(range(BINS))
    assert all(one.right <= other.left for one, other in pairwise(columns))
    assert axis.zeros.bin == ZEROS_BIN
    assert columns[-1].bin == HUGE_BIN


def test_zeros_that_tower_above_the_rest_are_cut_and_written_on() -> None:
    figure = plot_distribution(record_of(zeros=90, minus_12=10))
    assert figure.layout.yaxis.range[1] < 0.2
    assert "90\u00a0%" in [annotation.text for annotation in figure.layout.annotations]


def test_several_updates_are_added_up_and_that_is_said() -> None:
    frame = reference_distributions(updates=12)
    figure = plot_distribution(distribution(frame, layer=LAYERS[0], updates=(2, 9)))
    assert figure.layout.title.text == "Gradient by size: first.weight, updates 2 to 9 (8 together)"
    drawn = sum(int(trace.customdata.sum()) for trace in figure.data)
    rows = frame[(frame["layer"] == LAYERS[0]) & frame["update"].between(2, 9)]
    assert drawn == rows[list(BIN_NAMES)].to_numpy().sum()


def test_the_sentence_holds_the_shares() -> None:
    record = record_of(**{"zeros": 10, "below_2^-126": 5, "minus_30": 15, "minus_20": 20, "minus_3": 50})
    assert subtitle(plot_distribution(record)) == (
        "Below float16's normal numbers: 40 % of the elements; below its smallest one: 20 %; "
        "below bfloat16's normal numbers: 5 %. Exactly zero: 10 %."
    )


@pytest.mark.parametrize(
    ("share", "wanted"), [(0, "0 %"), (1e-9, "&lt; 0.1 %"), (0.0123, "1.23 %"), (0.5, "50 %"), (1, "100 %")]
)
def test_a_small_share_is_never_nothing(share: float, wanted: str) -> None:
    assert share_text(share).replace("\u00a0", " ") == wanted


def test_a_ridge_has_a_hill_a_row_in_its_place() -> None:
    record = distribution(reference_distributions(updates=10), layer=LAYERS[0])
    figure = plot_distribution_ridge(record)
    hills = [trace for trace in figure.data if trace.type == "scatter"]
    assert [hill.y.min() for hill in hills] == list(range(9, -1, -1))
    heights = [hill.y.max() - hill.y.min() for hill in hills]
    shares = np.delete(record.shares, ZEROS_BIN, axis=1).max(axis=1)[::-1]
    np.testing.assert_allclose(np.array(heights) / heights[0], shares / shares[0])
    peaks = [hill.x[np.argmax(hill.y)] for hill in hills]
    assert peaks[0] <= peaks[-1], "the reference sinks as training goes on"
    blocks = figure.data[-1]
    np.testing.assert_allclose(blocks.width, 2 * record.zeros)
    assert "adds up" not in subtitle(figure)


def test_a_long_run_is_merged_and_that_is_said() -> None:
    record = distribution(reference_distributions(updates=100), layer=LAYERS[0])
    figure = plot_distribution_ridge(record)
    assert (
        len([trace for trace in figure.data if trace.type == "scatter"])
        == len(merge_updates(record).updates)
        == 20
    )
    assert "Each hill adds up 5 of the 100 updates." in subtitle(figure)
    assert figure.layout.yaxis.ticktext[0] == "0–4"
