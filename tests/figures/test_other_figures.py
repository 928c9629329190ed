"""Build-up, waterfall and layer flow as drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradviz.analysis import LayerFlow, build_up, layer_flow, waterfall
from gradviz.figures import plot_build_up, plot_layer_flow, plot_waterfall
from gradviz.schema import Phase
from gradviz.texts import text
from tests.reference_runs import reference_run


def subtitle(figure: object) -> str:
    return str(figure.layout.title.subtitle.text).replace("<br>", " ")  # type: ignore[attr-defined]


def test_build_up_lies_between_its_reference_lines_and_names_its_regions() -> None:
    found = build_up(reference_run(windows=(8,) * 12).gradients())
    figure = plot_build_up(found)
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    assert by_name[text("figure.build_up.line_k")].y[-1] == 8
    assert by_name[text("figure.build_up.line_root")].y[-1] == pytest.approx(np.sqrt(8))
    np.testing.assert_array_equal(by_name["median"].y, found.median)
    written = [annotation.text for annotation in figure.layout.annotations]
    assert len(written) == 4
    assert [label for label in written if label.startswith("<b>")] == [f"<b>{found.region}</b>"]
    assert "n = 8; 12 of 12 windows." in subtitle(figure)


def test_build_up_says_what_it_left_out_and_why_it_is_empty() -> None:
    assert "3 not reset" in subtitle(plot_build_up(build_up(reference_run(reset="never").gradients())))
    edited = plot_build_up(build_up(reference_run(reset="every_micro_step").gradients()))
    assert "changed between micro-steps" in edited.layout.annotations[0].text.replace("<br>", " ")
    single = plot_build_up(build_up(reference_run(windows=(1, 1, 1)).gradients()))
    assert "nothing is accumulated" in single.layout.annotations[0].text


def test_waterfall_bars_stack_to_the_consumed_value() -> None:
    found = waterfall(reference_run().gradients(), update=1)
    bars = plot_waterfall(found).data[0]
    base = np.asarray(bars.base, dtype=np.float64)
    tops = base + bars.y
    np.testing.assert_allclose(tops, found.after)
    np.testing.assert_allclose(base[2:-1], tops[1:-2])
    assert base[-1] == 0
    assert np.flatnonzero(np.array(bars.marker.line.width)).tolist() == [found.largest]


def test_waterfall_shows_what_clipping_removed() -> None:
    found = waterfall(reference_run(clip=0.1).gradients(), update=1)
    ghost = plot_waterfall(found).data[1]
    assert ghost.marker.pattern.shape == "/"
    assert ghost.base[0] + ghost.y[0] == pytest.approx(found.before[found.phase == Phase.UPDATE][0])


def many(count: int) -> LayerFlow:
    """Layers with a zero, a missing and a poisoned one among them."""
    values = np.logspace(-9, -2, count)
    nonfinite = np.zeros(count, dtype=np.int64)
    values[1], nonfinite[2], nonfinite[3] = 0.0, -1, 7
    values[2:4] = np.nan
    return LayerFlow(
        layers=tuple(f"encoder.blocks.{place}.attention.weight" for place in range(count)),
        statistic="mean_abs",
        accumulated=values,
        micro=values / 4,
        maximum=values * 10,
        nonfinite=nonfinite,
        micro_nonfinite=nonfinite,
        recorded=np.ones(count, dtype=np.bool_),
        event=3,
        update=1,
        micro_step=2,
        phase="micro_step",
    )


@pytest.mark.parametrize("count", [10, 1000])
def test_layer_flow_keeps_zero_missing_and_nan_apart(count: int) -> None:
    figure = plot_layer_flow(many(count), orientation="vertical")
    axis = figure.layout.yaxis
    shelf = dict(zip(axis.ticktext, axis.tickvals, strict=True))
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name["accumulated"].y[1] == shelf["0"]
    for place, mark, name in ((2, "none", "None"), (3, "nonfinite", "NaN·Inf")):
        heights = by_name[text(f"figure.mark.{mark}")].y
        assert {place: heights[place]} == {at: y for at, y in enumerate(heights) if not np.isnan(y)}
        assert heights[place] == shelf[name]
    assert np.isnan(by_name["accumulated"].y[2:4]).all()


def test_a_thousand_layers_have_few_labels_and_every_name_in_the_hover() -> None:
    figure = plot_layer_flow(many(1000))
    assert len(figure.layout.xaxis.ticktext) <= 20
    assert figure.data[-1].text[999] == "encoder.blocks.999.attention.weight"


def test_long_names_lie_in_rows_top_to_bottom() -> None:
    figure = plot_layer_flow(many(12))
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.xaxis.type == "log"
    assert len(figure.layout.yaxis.ticktext) == 12


def test_the_title_names_the_moment_and_the_sentence_counts() -> None:
    figure = plot_layer_flow(many(10))
    assert figure.layout.title.text == "Gradient flow, update 1, micro-step 2"
    assert "1 with NaN or Inf, 1 without a gradient, 1 exactly zero" in subtitle(figure)


def test_layers_outside_the_event_are_said() -> None:
    flow = layer_flow(reference_run().gradients(), event=3)
    part = replace(flow, recorded=np.array([True, True, False]))
    assert "1 not part of this event" in subtitle(plot_layer_flow(part))
