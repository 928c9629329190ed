"""Small multiples of the sawtooth, and the stars of findings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from gradviz.analysis import sawtooth
from gradviz.analysis.place_marks import PlaceMark
from gradviz.figures import plot_sawtooth
from gradviz.figures.palette import RED, YELLOW
from gradviz.schema import Level
from tests.reference_runs import reference_run

NAMES = ("first.weight", "first.bias", "last.weight")
RUN = reference_run(layers=NAMES, reset="never")
TEETH = [sawtooth(RUN.gradients(), layer=name) for name in NAMES]
MARKS = [
    PlaceMark(1, 2, Level.WARNING, "watch this"),
    PlaceMark(1, 2, Level.ERROR, "mend this", ("a", "b", "c", "d")),
    PlaceMark(2, None, Level.WARNING, "and this"),
    PlaceMark(77, 1, Level.ERROR, "elsewhere"),
]


def lines(figure: go.Figure) -> dict[str, go.Scatter]:
    scatter = [trace for trace in figure.data if trace.type == "scatter"]
    return {one.yaxis: one for one in scatter if one.mode == "lines" and one.hoverinfo == "skip" and one.name}


def stars_of(figure: go.Figure) -> list[go.Scatter]:
    return [one for one in figure.data if one.type == "scatter" and one.marker.symbol == "star"]


@pytest.mark.parametrize("log", [False, True])
def test_each_layer_has_a_panel_of_its_own_on_one_x_axis(log: bool) -> None:
    figure = plot_sawtooth(TEETH, panels=True, log=log)
    drawn = lines(figure)
    assert list(drawn) == ["y", "y2", "y3"]
    for axis, one in zip(drawn, TEETH, strict=True):
        top = float(np.nanmax(drawn[axis].y))
        assert top == pytest.approx(np.nanmax(one.value))
        low, high = figure.layout[axis.replace("y", "yaxis")].range
        assert (10**low if log else low) <= top <= (10**high if log else high)
    domains = [figure.layout[name].domain for name in ("yaxis", "yaxis2", "yaxis3")]
    assert all(upper[0] > lower[1] for upper, lower in pairwise(domains))
    assert figure.layout.xaxis.anchor == "y3"
    assert [note.text for note in figure.layout.annotations] == [f"<b>{name}</b>" for name in NAMES]


def test_a_kind_of_mark_has_one_entry_in_the_legend_and_layers_have_none() -> None:
    figure = plot_sawtooth(TEETH, panels=True)
    entries = [trace.name for trace in figure.data if trace.showlegend]
    assert len(entries) == len(set(entries)) > 2
    assert not set(entries) & set(NAMES)


@pytest.mark.parametrize("panels", [False, True])
def test_findings_are_stars_in_the_colour_of_the_worst_at_their_place(panels: bool) -> None:
    figure = plot_sawtooth(TEETH, panels=panels, marks=MARKS)
    stars = stars_of(figure)
    assert [(star.marker.color, len(star.x)) for star in stars] == [(RED, 1), (YELLOW, 1)]
    one = TEETH[0]
    micro = (one.update == 1) & (one.micro_step == 2)
    assert stars[0].x[0] == one.x[micro][0]
    assert stars[1].x[0] == one.x[(one.update == 2)].max()
    told = stars[0].hovertext[0]
    assert told.index("mend this") < told.index("watch this")
    assert "a, b, c +1" in told
    assert {star.yaxis or "y" for star in stars} == {"y"}


def test_without_marks_there_are_no_stars() -> None:
    assert not stars_of(plot_sawtooth(TEETH))
