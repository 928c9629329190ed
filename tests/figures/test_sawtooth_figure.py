"""The sawtooth as drawn: it falls to what was observed, and says so."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from gradviz.analysis import sawtooth, thin_windows
from gradviz.figures import plot_sawtooth
from gradviz.figures.numbers import number
from gradviz.texts import text
from tests.reference_runs import ReferenceRun, reference_run

LAYER = "first.weight"


def drawn(run: ReferenceRun, **options: bool) -> go.Figure:
    return plot_sawtooth(sawtooth(run.gradients(), layer=LAYER, events=run.events()), **options)


def trace(figure: go.Figure, key: str) -> go.Scatter:
    name = text(f"figure.sawtooth.{key}")
    return next(trace for trace in figure.data if trace.name == name)


def names(figure: go.Figure) -> set[str]:
    return {trace.name for trace in figure.data}


def test_the_line_rises_and_falls_vertically_to_the_observed_reset() -> None:
    run = reference_run(windows=(4, 4))
    figure = drawn(run)
    line = next(trace for trace in figure.data if trace.name == LAYER and trace.type == "scatter")
    assert line.x.tolist() == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    assert line.y[[0, 5, 10]].tolist() == [0, 0, 0]
    assert "Every window starts from zero: 2 of 2." in figure.layout.title.subtitle.text


def test_a_missing_reset_is_red_with_its_residual() -> None:
    figure = drawn(reference_run(windows=(4, 4, 4), reset="never"))
    marks, floor = trace(figure, "not_reset_mark"), trace(figure, "stale_floor")
    assert marks.x.tolist() == [4, 8]
    assert marks.y.tolist() == floor.y.tolist() == marks.customdata[:, 2].tolist()
    assert marks.marker.color == "#EE6677"
    assert figure.layout.title.subtitle.text.startswith("2 of 3 windows start from a gradient")


def test_consumed_and_arrived_are_both_shown_where_they_differ() -> None:
    run = reference_run(windows=(4,), clip=0.1)
    tooth = sawtooth(run.gradients(), layer=LAYER)
    marks = trace(plot_sawtooth(tooth), "consumed")
    assert marks.y[0] == tooth.value[tooth.rescaled][0]
    assert f"G<sub>n</sub>: {number(tooth.arrived[tooth.rescaled][0])}" in marks.text[0]


def test_the_bars_of_g_k_have_their_own_axis_under_the_line() -> None:
    figure = drawn(reference_run(windows=(4, 2)))
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert bars.yaxis == "y2"
    assert len(bars.x) == 6
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]


def test_lines_are_broken_at_gaps_and_the_gap_is_named() -> None:
    frame = reference_run(windows=(4,) * 5).gradients()
    figure = plot_sawtooth(sawtooth(frame[~frame["update"].isin([1, 2])], layer=LAYER))
    line = next(trace for trace in figure.data if trace.name == LAYER and trace.type == "scatter")
    assert np.isnan(line.y).sum() == 1
    assert trace(figure, "gap_mark").customdata.tolist() == [2]


def test_edits_nan_and_none_have_marks() -> None:
    assert text("figure.sawtooth.edit_mark") in names(drawn(reference_run(reset="every_micro_step")))
    poisoned = drawn(reference_run(poison=(1, 2)))
    assert text("figure.sawtooth.nonfinite_mark") in names(poisoned)
    assert "NaN or Inf from update 1, micro-step 2 on." in poisoned.layout.title.subtitle.text
    run = reference_run(unused=LAYER)
    assert text("figure.sawtooth.none_mark") in names(drawn(run))


def test_log_puts_clean_resets_on_the_zero_line() -> None:
    figure = drawn(reference_run(), log=True)
    zero = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))["0"]
    assert set(trace(figure, "clean_mark").y) == {zero}
    assert figure.layout.yaxis.type == figure.layout.yaxis2.type == "log"


def test_several_layers_share_one_legend_entry_a_mark() -> None:
    frame = reference_run().gradients()
    figure = plot_sawtooth([sawtooth(frame, layer=layer) for layer in frame["layer"].cat.categories])
    shown = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert len(shown) == len(set(shown))


def test_window_boundaries_carry_update_numbers() -> None:
    figure = drawn(reference_run(windows=(4, 4, 2)))
    assert figure.layout.xaxis.tickvals.tolist() == [4, 8, 10]
    assert figure.layout.xaxis.ticktext == ("0", "1", "2")


def test_a_thinned_picture_says_so_and_counts_the_whole_run() -> None:
    tooth = sawtooth(reference_run(windows=(4,) * 20, reset="never").gradients(), layer=LAYER)
    sentence = plot_sawtooth(thin_windows(tooth, points=60)).layout.title.subtitle.text.replace("<br>", " ")
    assert "19 of 20 windows start from a gradient" in sentence
    assert "of 20 windows, each whole" in sentence


@pytest.mark.parametrize("count", [2, 30, 300])
def test_labels_never_crowd(count: int) -> None:
    tooth = sawtooth(reference_run(windows=(2,) * count).gradients(), layer=LAYER)
    labels = [label for label in plot_sawtooth(tooth).layout.xaxis.ticktext if label]
    assert 1 <= len(labels) <= 15


def test_hover_tells_what_is_known_and_nothing_else() -> None:
    run = reference_run(windows=(2,))
    dots = next(trace for trace in drawn(run).data if trace.text is not None and trace.type == "scatter")
    loss = run.event_rows[1]["loss"]
    assert f"loss: {number(loss)}" in dots.text[0]
    assert "cosine" not in dots.text[0]  # nothing was there to compare with
    assert "cosine" in dots.text[1]
    reset = trace(drawn(run), "clean_mark")
    assert reset.text[0] == "mean |G<sub>k</sub>|: 0"


def test_hover_says_nan_where_there_is_one() -> None:
    marks = trace(drawn(reference_run(windows=(3,), poison=(0, 2))), "nonfinite_mark")
    assert "mean |G<sub>k</sub>|: NaN" in marks.text[0]
    assert "loss: NaN" in marks.text[0]
