"""What the checks found, as stars above the sawtooth: where to look first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.place_marks import PlaceMark
from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.palette import BLUE, RED, YELLOW
from gradviz.figures.sawtooth_pen import Pen
from gradviz.figures.value_axis import ValueAxis
from gradviz.schema import Level
from gradviz.texts import text

COLOURS = {Level.ERROR: RED, Level.WARNING: YELLOW, Level.INFO: BLUE}
NAMED = 3  # layers that a hover names
EDGE = 0.04  # of the height of the picture


def finding_marks(pen: Pen, one: Sawtooth, marks: Sequence[PlaceMark]) -> None:
    """A star for each place that has marks, in the colour of the worst of them; all of them in its hover."""
    at: dict[float, list[PlaceMark]] = {}
    for mark in sorted(marks, key=lambda mark: -mark.level.rank):
        place = _place(one, mark)
        if place is not None:
            at.setdefault(place, []).append(mark)
    for level, colour in COLOURS.items():
        places = [place for place, there in at.items() if there[0].level is level]
        if places:
            pen.figure.add_trace(_stars(pen, level, colour, {place: at[place] for place in places}))


def _stars(pen: Pen, level: Level, colour: str, at: dict[float, list[PlaceMark]]) -> go.Scatter:
    return go.Scatter(
        x=np.array(list(at)),
        y=np.full(len(at), _height(pen.axis)),
        mode="markers",
        marker={"symbol": "star", "size": 13, "color": colour, "line": {"width": 1, "color": "white"}},
        hovertext=["<br>".join(_told(mark, pen.language) for mark in there) for there in at.values()],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
        name=text(f"figure.sawtooth.finding_{level}", pen.language),
        legendrank=1900,
    )


def _height(axis: ValueAxis) -> float:
    """Just below the upper edge: beyond it nothing can be pointed at."""
    if axis.log:
        return float(axis.top * (axis.bottom / axis.top) ** EDGE)
    return axis.top - EDGE * (axis.top - axis.bottom)


def _place(one: Sawtooth, mark: PlaceMark) -> float | None:
    """Where on the axis a mark stands; None where its window is not on it."""
    windows = np.flatnonzero((one.window_update == mark.update) & (one.window_length > 0))
    if not len(windows):
        return None
    length = int(one.window_length[windows[0]])
    return float(
        one.window_start[windows[0]] + min(length if mark.micro_step is None else mark.micro_step, length)
    )


def _told(mark: PlaceMark, language: str) -> str:
    level = text(f"figure.sawtooth.finding_{mark.level}", language)
    where = f"{text('figure.word.update', language)} {mark.update}"
    if mark.micro_step is not None:
        where += (
            text("figure.word.comma", language)
            + f"{text('figure.word.micro_step', language)} {mark.micro_step}"
        )
    names = text("figure.word.comma", language).join(short_name(name) for name in mark.layers[:NAMED])
    more = f" +{len(mark.layers) - NAMED}" if len(mark.layers) > NAMED else ""
    return f"<b>{escape_plotly(mark.title)}</b><br>{level} · {where}" + (
        f"<br>{names}{more}" if names else ""
    )
