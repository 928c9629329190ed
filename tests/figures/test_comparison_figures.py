"""The pictures of a comparison: what stands where, on ordinary, odd, hostile and empty runs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

import gradviz
from gradviz.analysis import (
    Comparison,
    compared_curves,
    compared_losses,
    compared_run,
    comparison,
    difference_map,
)
from gradviz.figures.comparison import plot_comparison
from gradviz.figures.comparison_curves import COLOURS, plot_compared_curves
from gradviz.figures.comparison_map import _factors, plot_difference_map
from gradviz.figures.comparison_wording import comparison_sentences
from gradviz.schema import Phase
from gradviz.store import Run
from gradviz.texts import LANGUAGES
from tests.comparable_runs import LAYERS, record_alike

UPDATE, MICRO = Phase.UPDATE, Phase.MICRO_STEP
HOSTILE = ("<script>alert(1)</script>", "![](http://x) <b>%{x}</b> $a$", "\u202eשכבה")


def record(folder: Path, name: str = "alike", **change: object) -> Run:
    return gradviz.open_run(record_alike(folder, name, **change))  # type: ignore[arg-type]


def pictures(a: Run, b: Run, languages: Sequence[str] = ("en",)) -> list[go.Figure]:
    runs = [compared_run(run) for run in (a, b)]
    layers = tuple(dict.fromkeys([*a.layers["layer"], *b.layers["layer"]]))[:2]
    clocks = [run.clock for run in runs]
    curves, chosen = compared_curves(runs), compared_curves(runs, layers=layers)
    losses, difference = compared_losses([a.name, b.name], clocks), difference_map(*runs)
    compared = comparison(a, b)
    return [
        figure
        for language in languages
        for figure in (
            plot_compared_curves(curves, language=language),
            plot_compared_curves(chosen, log=False, language=language),
            plot_compared_curves(losses, language=language),
            plot_difference_map(difference, language=language),
            plot_comparison(compared, language=language),
        )
    ]


CHANGES: dict[str, dict[str, object]] = {
    "same": {},
    "no window": {"windows": ()},
    "one window": {"windows": (1,)},
    "other layers": {"layers": ("x", "y")},
    "hostile layers": {"layers": HOSTILE},
    "not finite": {"factors": {(1, 3, UPDATE): math.inf, (2, 3, UPDATE): math.nan}},
    "zero": {"factors": dict.fromkeys([(0, 3, UPDATE), (1, 3, UPDATE)], 0.0)},
    "dropped": {"missing": {0, 1}},
    "never reset": {"left": 3.0},
    "long windows": {"windows": (9, 9)},
    "below zero": {"losses": {(0, 1): -4.0}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_or_a_sentence(tmp_path: Path, change: str) -> None:
    other = record(tmp_path, HOSTILE[0], **CHANGES[change])
    for figure in pictures(record(tmp_path, "a"), other, LANGUAGES):
        sentence = figure.layout.title.subtitle.text or figure.layout.annotations[0].text
        assert len(sentence) > 3
        assert figure.layout.title.text
        assert "<script" not in json.dumps(figure.to_plotly_json(), default=str)


def test_one_colour_a_run_and_one_entry_in_the_legend(tmp_path: Path) -> None:
    runs = [compared_run(record(tmp_path, f"run {place}")) for place in range(6)]
    figure = plot_compared_curves(compared_curves(runs, layers=LAYERS[:2]))
    lines = [trace for trace in figure.data if "lines" in trace.mode]
    assert len(lines) == 12
    assert [trace.line.color for trace in lines] == [*COLOURS, *COLOURS]
    assert [trace.name for trace in lines if trace.showlegend] == [run.name for run in runs]
    widths = [trace.line.width for trace in lines[:6]]
    assert widths == sorted(widths, reverse=True)


def test_a_line_is_broken_where_updates_are_missing(tmp_path: Path) -> None:
    run = compared_run(record(tmp_path, windows=(2,) * 8, missing={3, 4}))
    line = plot_compared_curves(compared_curves([run])).data[0]
    assert np.isnan(line.x).tolist() == [False] * 3 + [True] + [False] * 3
    assert np.isnan(line.y).tolist() == np.isnan(line.x).tolist()


def test_every_second_window_is_no_gap(tmp_path: Path) -> None:
    run = compared_run(record(tmp_path, windows=(2,) * 9, missing={1, 3, 5, 7}))
    assert not np.isnan(plot_compared_curves(compared_curves([run])).data[0].x).any()


def test_not_finite_is_a_cross_above_all_numbers(tmp_path: Path) -> None:
    run = compared_run(record(tmp_path, factors={(1, 3, UPDATE): math.inf}))
    line, cross = plot_compared_curves(compared_curves([run])).data
    assert cross.x.tolist() == [1]
    assert cross.y[0] > np.nanmax(line.y)


def test_a_loss_below_zero_gets_an_axis_that_holds_it(tmp_path: Path) -> None:
    run = record(tmp_path, losses={(0, 1): -4.0})
    record_ = compared_losses(["a"], [compared_run(run).clock])
    assert plot_compared_curves(record_, log=True).layout.yaxis.type is None
    positive = compared_losses(["a"], [compared_run(record(tmp_path, "b")).clock])
    assert plot_compared_curves(positive, log=True).layout.yaxis.type == "log"


def test_the_map_is_red_where_the_second_consumed_more(tmp_path: Path) -> None:
    factors = {(1, 3, UPDATE): 4.0, (2, 3, UPDATE): 0.25, (3, 2, UPDATE): math.inf}
    runs = [compared_run(record(tmp_path, "a")), compared_run(record(tmp_path, "b", factors=factors))]
    (cells,) = plot_difference_map(difference_map(*runs)).data
    assert cells.z.dtype == np.int16
    low, high = -2000, 2000
    assert cells.z[0, :3].tolist() == [0, high, low]
    assert (cells.z[1:] == 0).all()
    assert cells.z[0, 3] < low
    assert "NaN·Inf" in cells.colorbar.ticktext
    assert cells.zmin < cells.z.min()
    assert cells.x.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert cells.customdata[0, 1].tolist() == pytest.approx(
        [difference_map(*runs).first[0, 1], difference_map(*runs).second[0, 1], 4.0], rel=1e-5
    )


def test_the_mark_stands_at_the_first_difference(tmp_path: Path) -> None:
    found = comparison(record(tmp_path, "a"), record(tmp_path, "b", factors={(2, 1, MICRO): 1.5}))
    figure = plot_comparison(found)
    line, mark = figure.data
    assert mark.x.tolist() == [2]
    assert mark.y[0] == line.y[2] == pytest.approx(1 / 3)
    assert "They part at update 2, micro-step 1" in figure.layout.title.subtitle.text.replace("<br>", " ")


def test_only_one_has_a_gradient_is_infinitely_far(tmp_path: Path) -> None:
    found = comparison(record(tmp_path, "a"), record(tmp_path, "b", factors={(2, 3, UPDATE): math.nan}))
    assert "∞" in plot_comparison(found).layout.yaxis.ticktext
    assert "is 18 in a" not in " ".join(comparison_sentences(found))
    assert "no gradient in b" in " ".join(comparison_sentences(found))


def sentences(tmp_path: Path, language: str = "en", rtol: float = 1e-5, **change: object) -> str:
    found = comparison(record(tmp_path, "a"), record(tmp_path, "b", **change), rtol=rtol)
    return " ".join(comparison_sentences(found, language))


def test_what_is_said(tmp_path: Path) -> None:
    assert sentences(tmp_path) == "The same to the last bit: 19 moments of 3 layers, up to update 3."
    assert "b goes on to update 4." in sentences(tmp_path, windows=(3, 3, 3, 2, 1))
    assert "within the tolerance of 0.5" in sentences(tmp_path, rtol=0.5, factors={(2, 1, MICRO): 1.5})
    assert "a has micro-step 3, b has not." in sentences(tmp_path, windows=(3, 2, 3, 2))
    assert "no layer of the same name" in sentences(tmp_path, layers=("x",))
    assert "no window that both recorded" in sentences(tmp_path, windows=())
    assert "The loss of this micro-step is 1 and 1.0000001." in sentences(
        tmp_path, factors={(0, 1, MICRO): 2.0}, losses={(0, 1): 1.0000001}
    )


def test_a_comparison_of_a_part_says_so(tmp_path: Path) -> None:
    found: Comparison = comparison(record(tmp_path, "a"), record(tmp_path, "b"))
    told = comparison_sentences(replace(found, is_complete=False))
    assert told[-1].startswith("Only the first windows were looked at")


def test_the_tolerance_is_named_at_its_line(tmp_path: Path) -> None:
    found = comparison(record(tmp_path, "a"), record(tmp_path, "b", factors={(1, 1, MICRO): 2.0}), rtol=1e-3)
    figure = plot_comparison(found)
    assert figure.layout.yaxis.type == "log"
    line = next(shape for shape in figure.layout.shapes if shape.y0 == 1e-3)
    name = next(note for note in figure.layout.annotations if "tolerance" in note.text)
    assert name.y == np.log10(line.y0)


@pytest.mark.parametrize("reach", [1.0, 1.4, 2.0, 3.7, 5.0, 6.0])
def test_the_ticks_of_the_bar_do_not_touch(reach: float) -> None:
    heights = np.log2([factor for factor, _ in _factors(reach)])
    assert len(heights) in (3, 5)
    assert np.diff(heights).min() >= 0.28 * reach
    assert np.allclose(heights, -heights[::-1])
