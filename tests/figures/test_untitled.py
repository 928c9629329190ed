"""A picture without its title has the margins that its axes and its legend need."""

from __future__ import annotations

import pytest

from gradviz.figures.canvas import (
    BELOW,
    LEFT,
    USUAL_BARE,
    USUAL_BELOW,
    USUAL_LEFT,
    USUAL_TOP,
    sheet,
    untitled,
)


@pytest.mark.parametrize(("traces", "below"), [(1, USUAL_BARE), (2, USUAL_BELOW)])
def test_there_is_room_for_a_legend_where_there_is_one(traces: int, below: int) -> None:
    figure = sheet("A title", "A sentence.")
    for _ in range(traces):
        figure.add_scatter(x=[1], y=[1])
    figure.add_scatter(x=[1], y=[1], showlegend=False)
    untitled(figure)
    margin = figure.layout.margin
    assert (margin.l, margin.t, margin.b) == (USUAL_LEFT, USUAL_TOP, below)
    assert figure.layout.title.text == figure.layout.title.subtitle.text == ""


def test_margins_of_a_figure_of_its_own_stay() -> None:
    figure = sheet("A title").update_layout(margin={"l": LEFT - 60, "b": BELOW + 1})
    untitled(figure)
    assert (figure.layout.margin.l, figure.layout.margin.b) == (LEFT - 60, BELOW + 1)
