"""The film, the change and the size of updates as drawn: what is where, what is said, what a name cannot do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import gradviz
from gradviz.analysis import (
    LayerFacts,
    LayerFlow,
    UpdateRatio,
    flow_change,
    layer_facts,
    layer_flow,
    update_ratio,
)
from gradviz.figures import plot_flow_change, plot_layer_flow, plot_layer_flow_play, plot_update_ratio
from gradviz.store import Run, sample_folder
from gradviz.texts import LANGUAGES, text

HOSTILE = ("<script>alert(1)</script>", "![](http://x) <b>%{x}</b> $a$", "\u202e<a href='http://x'>y</a>")


@cache
def deep() -> Run:
    return gradviz.open_run(sample_folder() / "vanishing-deep-sigmoid")


@cache
def moments() -> list[tuple[LayerFlow, LayerFacts]]:
    rows = deep().gradients(updates=(3, 4))
    return [
        (
            layer_flow(rows, event=event, layers=deep().layers),
            layer_facts(rows, event=event, layers=deep().layers),
        )
        for event in sorted(set(rows["event"]))
    ]


def hostile_moments() -> list[tuple[LayerFlow, LayerFacts]]:
    names = (*HOSTILE, *(f"layer.{place}" for place in range(len(deep().layers) - len(HOSTILE))))
    return [
        (replace(flow, layers=names), replace(facts, layers=names, module_type=names))
        for flow, facts in moments()
    ]


def sentence(figure: object) -> str:
    title = figure.layout.title.subtitle.text  # type: ignore[attr-defined]
    return str(title or figure.layout.annotations[0].text).replace("<br>", " ")  # type: ignore[attr-defined]


def test_a_frame_holds_the_values_of_its_moment() -> None:
    figure = plot_layer_flow_play(moments(), start=2)
    assert len(figure.frames) == len(moments())
    place = next(place for place, trace in enumerate(figure.data) if trace.name == "accumulated")
    for frame, (flow, _) in zip(figure.frames, moments(), strict=True):
        there = flow.nonfinite == 0
        np.testing.assert_array_equal(frame.data[place].y[there], flow.accumulated[there])
        assert np.isnan(frame.data[place].y[~there]).all()
    assert figure.layout.sliders[0].active == 2
    np.testing.assert_array_equal(figure.data[place].y, figure.frames[2].data[place].y)


def test_the_axis_of_a_film_holds_every_moment() -> None:
    low, high = plot_layer_flow_play(moments()).layout.yaxis.range
    for flow, _ in moments():
        real = np.concatenate([flow.accumulated, flow.micro, flow.maximum])
        real = np.log10(real[np.isfinite(real) & (real > 0)])
        assert not len(real) or (low <= real.min() and real.max() <= high)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_film_of_one_moment_is_a_sentence(language: str) -> None:
    figure = plot_layer_flow_play(moments()[:1], language=language)
    assert not figure.data
    assert sentence(figure) == text("figure.layer_flow_play.empty", language)


def test_bars_reach_from_one_to_the_ratio() -> None:
    change = flow_change(moments()[1][0], moments()[4][0])
    figure = plot_flow_change(change)
    found = {
        int(place): float(base + reach)
        for trace in figure.data
        if trace.type == "bar"
        for place, base, reach in zip(trace.x, trace.base, trace.y, strict=True)
    }
    np.testing.assert_allclose([found[place] for place in range(len(change.ratio))], change.ratio)
    assert figure.layout.yaxis.type == "log"


def test_what_cannot_be_compared_is_marked_and_counted() -> None:
    flow = moments()[4][0]
    values, nonfinite = flow.accumulated.copy(), flow.nonfinite.copy()
    values[0], nonfinite[1] = 0.0, 3
    odd = replace(flow, accumulated=values, nonfinite=nonfinite)
    figure = plot_flow_change(flow_change(flow, odd))
    marks = {trace.name: trace.x.tolist() for trace in figure.data if trace.type == "scatter"}
    assert marks == {"to exactly zero": [0], "cannot be compared": [1]}
    assert "2 cannot be compared" in sentence(figure)
    back = plot_flow_change(flow_change(odd, flow))
    assert "from exactly zero" in {trace.name for trace in back.data}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_to_compare_is_a_sentence(language: str) -> None:
    reset, flow = moments()[0][0], moments()[4][0]
    figure = plot_flow_change(flow_change(reset, flow), language=language)
    assert not figure.data
    assert sentence(figure)[:8] == text("figure.flow_change.empty", language)[:8]


def test_the_median_and_the_band_are_those_of_the_record() -> None:
    record = update_ratio(deep())
    figure = plot_update_ratio(record, layers=["10.weight", "no.such.layer"])
    by_name = {trace.name: trace for trace in figure.data}
    np.testing.assert_array_equal(by_name["median over weights"].y, record.band[2])
    np.testing.assert_array_equal(by_name["10.weight"].y, record.ratio[record.layers.index("10.weight")])
    outline = by_name["50 % of the weights"].y
    assert (np.nanmin(outline), np.nanmax(outline)) == (record.band[1].min(), record.band[3].max())
    assert [shape.y0 for shape in figure.layout.shapes] == [1e-3]


def test_a_gap_is_drawn_as_a_gap() -> None:
    record = update_ratio(deep())
    band = record.band.copy()
    band[:, 5:8] = np.nan
    figure = plot_update_ratio(replace(record, band=band))
    outline = figure.data[0]
    pieces = np.split(outline.x, np.flatnonzero(np.isnan(outline.x)))
    assert sum(len(piece[~np.isnan(piece)]) > 0 for piece in pieces) == 2
    assert "Not known for 3 updates" in sentence(figure)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_older_run_gets_a_sentence(language: str) -> None:
    record = update_ratio(deep())
    nothing = UpdateRatio(
        record.layers, np.zeros(0, np.int64), 1, np.zeros((len(record.layers), 0)), record.weights,
        np.zeros((5, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64),
    )  # fmt: skip
    for odd in (nothing, replace(record, band=np.full_like(record.band, np.nan))):
        figure = plot_update_ratio(odd, language=language)
        assert not figure.data
        assert sentence(figure)[:8] == text("figure.update_ratio.empty", language)[:8]


def test_names_never_become_markup() -> None:
    flows = hostile_moments()
    ratio = update_ratio(deep())
    ratio = replace(ratio, layers=flows[0][0].layers)
    ours = re.compile(r"</?(b|sub|br|extra)>|%\{(customdata(\[\d+\])?|x|y|text)(:[^}]*)?\}")
    for figure in (
        plot_layer_flow(flows[3][0], facts=flows[3][1]),
        plot_layer_flow_play(flows),
        plot_flow_change(flow_change(flows[1][0], flows[4][0])),
        plot_update_ratio(ratio, layers=HOSTILE),
    ):
        for words in re.findall(
            r'"((?:[^"\\]|\\.)*)"', json.dumps(json.loads(figure.to_json()), ensure_ascii=False)
        ):
            assert not re.search(r"<\w|</|%\{|\$.*\$|\u202e", ours.sub("", words)), words


def test_a_line_of_the_hover_without_anything_to_say_is_left_out() -> None:
    flow, facts = moments()[3]
    label = text("figure.card.cosine")
    assert label in plot_layer_flow(flow, facts=facts).data[-1].hovertemplate
    mute = replace(facts, values={**facts.values, "cosine": np.full(len(facts.layers), np.nan)})
    assert label not in plot_layer_flow(flow, facts=mute).data[-1].hovertemplate


def test_numbers_in_the_hover_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, facts = moments()[3]
    values = {**facts.values, "mean_abs": np.geomspace(1e-9, 1e9, len(facts.layers))}
    words = plot_layer_flow(flow, facts=replace(facts, values=values)).data[-1].customdata[:, 1]
    for word, value in zip(words, values["mean_abs"], strict=True):
        assert ("e" in word) == (value < 1e-3 or value >= 1e4)
        assert float(word) == pytest.approx(value, rel=0.01)


def test_frames_without_rows_are_no_error() -> None:
    rows = deep().gradients(updates=(3, 3)).iloc[:0]
    assert isinstance(rows, pd.DataFrame)
    flow = layer_flow(rows, event=1, layers=deep().layers)
    assert not plot_layer_flow_play([(flow, None), (flow, None)]).data
