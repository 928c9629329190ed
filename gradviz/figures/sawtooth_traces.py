"""The traces of the sawtooth, one function each: line, bars, and a mark for everything that happened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import hover, no_hover
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import NEUTRAL, RED, faded, line_colour
from gradviz.figures.value_axis import Flags, Floats, ValueAxis
from gradviz.schema import Phase
from gradviz.texts import text

_MARKERS = 800  # points up to which each one gets a dot


def rise(figure: go.Figure, one: Sawtooth, axis: ValueAxis, place: int, language: str) -> None:
    """The line through G_0, G_1 .. G_n, broken where an event is missing."""
    line = np.flatnonzero(one.phase != Phase.UPDATE)
    heights = axis.place(one.cleared_value, one.cleared_nonfinite)
    heights = np.where(one.cleared_nonfinite == 0, heights, np.nan)
    breaks = np.flatnonzero(~one.joined[line])[1:]
    few = len(line) <= _MARKERS
    lonely = ~one.joined[line] & ~np.append(one.joined[line][1:], False)
    sizes = np.where(one.phase[line] == Phase.MICRO_STEP, 5 if few else np.where(lonely, 4, 0), 0)

    def broken(values: NDArray[np.float64]) -> Floats:
        return np.insert(values.astype(np.float64), breaks, np.nan)

    figure.add_trace(
        go.Scatter(
            x=broken(one.x[line]),
            y=broken(heights[line]),
            mode="lines+markers" if few or lonely.any() else "lines",
            line={"color": line_colour(place), "width": 2 if few else 1.2},
            marker={"size": broken(sizes), "color": line_colour(place), "line": {"width": 0}},
            customdata=np.insert(_known(one)[line], breaks, np.nan, axis=0),
            hovertemplate=_hover(one, text("figure.sawtooth.accumulated", language), language),
            name=short_name(one.layer),
            legendgroup=str(place),
        )
    )


def micro_bars(
    figure: go.Figure, one: Sawtooth, axis: ValueAxis, place: tuple[int, int], language: str
) -> None:
    """g_k of every micro-step, under the tooth it built; layers side by side."""
    rows = (one.phase == Phase.MICRO_STEP) & (one.micro_nonfinite >= 0)
    width = 0.8 / place[1]
    heights = axis.place(one.micro_value, one.micro_nonfinite)[rows]
    wrong = one.micro_nonfinite[rows] > 0
    figure.add_trace(
        go.Bar(
            x=one.x[rows],
            y=heights - axis.bottom if axis.log else heights,
            base=axis.bottom if axis.log else 0,
            width=width,
            offset=-0.9 + width * place[0],
            marker={
                "color": np.where(wrong, RED, line_colour(place[0])),
                "opacity": 0.75,
                "line": {"width": 0},
            },
            customdata=_known(one)[rows],
            hovertemplate=_hover(one, text("figure.sawtooth.micro", language), language),
            yaxis="y2",
            name=short_name(one.layer),
            legendgroup=str(place[0]),
            showlegend=False,
        )
    )


def consumed_marks(figure: go.Figure, one: Sawtooth, axis: ValueAxis, language: str) -> None:
    """A diamond at the value that the optimizer consumed, tied to G_n where the two differ."""
    rows = np.flatnonzero((one.phase == Phase.UPDATE) & (one.nonfinite == 0))
    if not len(rows):
        return
    heights = axis.place(one.value, one.nonfinite)
    arrived = one.arrived[rows]
    apart = np.isfinite(arrived) & ~np.isclose(arrived, one.value[rows], rtol=1e-5, atol=0)
    if apart.any():
        tops = axis.place(arrived[apart], np.zeros(int(apart.sum()), dtype=np.int64))
        figure.add_trace(
            go.Scatter(
                x=np.repeat(one.x[rows][apart], 3),
                y=np.stack([tops, heights[rows][apart], np.full(len(tops), np.nan)], axis=1).ravel(),
                mode="lines",
                line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
                **no_hover(),
            )
        )
    known = np.column_stack([_known(one)[rows], arrived])
    fields = [("G<sub>n</sub>", f"%{{customdata[7]:{number_format(one.value)}}}")]
    figure.add_trace(
        go.Scatter(
            x=one.x[rows],
            y=heights[rows],
            mode="markers",
            marker={"symbol": "diamond", "size": 8, "color": NEUTRAL, "line": {"width": 1, "color": "white"}},
            customdata=known,
            hovertemplate=_hover(one, text("figure.sawtooth.consumed", language), language, fields),
            **_legend(figure, "consumed", text("figure.sawtooth.consumed", language)),
        )
    )


def reset_marks(figure: go.Figure, one: Sawtooth, axis: ValueAxis, language: str) -> None:
    """Hollow circles where a reset was seen, red crosses where a window starts on a stale gradient."""
    heights = axis.place(one.cleared_value, one.cleared_nonfinite)
    marks = [
        ("clean", one.clean, {"symbol": "circle-open", "size": 7, "color": NEUTRAL, "line": {"width": 1.5}}),
        ("not_reset", one.not_reset, {"symbol": "x", "size": 9, "color": RED}),
        ("left", one.left, {"symbol": "circle", "size": 6, "color": NEUTRAL}),
    ]
    for key, rows, marker in marks:
        name = text(f"figure.sawtooth.{key}_mark", language)
        _marks(figure, one, rows, heights, marker, (key, name), language)


def edit_marks(figure: go.Figure, one: Sawtooth, axis: ValueAxis, language: str) -> None:
    """A triangle where `p.grad` was changed between two backwards: clipped or cleared inside the window."""
    heights = axis.place(one.cleared_value, one.cleared_nonfinite)
    marker = {"symbol": "triangle-down", "size": 9, "color": RED, "line": {"width": 0}}
    name = text("figure.sawtooth.edit_mark", language)
    _marks(figure, one, one.phase == Phase.EDIT, heights, marker, ("edit", name), language)


def void_marks(figure: go.Figure, one: Sawtooth, axis: ValueAxis, language: str) -> None:
    """Values that have no place on the axis: NaN and Inf above it, missing gradients on their own line."""
    heights = axis.place(one.cleared_value, one.cleared_nonfinite)
    cross = {"symbol": "x-thin", "size": 8, "color": RED, "line": {"width": 2, "color": RED}}
    ring = {"symbol": "circle-open-dot", "size": 7, "color": NEUTRAL}
    wrong, missing = one.cleared_nonfinite > 0, one.cleared_nonfinite < 0
    _marks(
        figure, one, wrong, heights, cross, ("nonfinite", text("figure.mark.nonfinite", language)), language
    )
    _marks(figure, one, missing, heights, ring, ("none", text("figure.mark.none", language)), language)


def stale_floor(figure: go.Figure, one: Sawtooth, axis: ValueAxis, language: str) -> None:
    """The part of a tooth that is older than its window, as a red floor."""
    rows = np.flatnonzero(one.not_reset & (one.nonfinite == 0))
    if not len(rows):
        return
    length = one.window_length[one.window[rows]]
    base = axis.bottom
    figure.add_trace(
        go.Bar(
            x=one.x[rows] + length / 2,
            y=one.value[rows] - base,
            base=base,
            width=length,
            marker={"color": faded(RED, 0.28), "line": {"width": 0}},
            customdata=_known(one)[rows],
            hovertemplate=_hover(one, text("figure.sawtooth.stale_floor", language), language),
            name=text("figure.sawtooth.stale_floor", language),
        )
    )


def gap_bands(figure: go.Figure, shown: Sequence[Sawtooth], axis: ValueAxis, language: str) -> None:
    """A grey band where windows were not recorded, with their number in the hover."""
    one = shown[0]
    gaps = np.flatnonzero(one.window_missed > 0)
    if not len(gaps):
        return
    ends = one.window_start[gaps - 1] + one.window_length[gaps - 1]
    width = one.window_start[gaps] - ends
    figure.add_trace(
        go.Bar(
            x=ends + width / 2,
            y=np.full(len(gaps), axis.top - axis.bottom),
            base=axis.bottom,
            width=width,
            marker={"color": faded(NEUTRAL, 0.18), "line": {"width": 0}},
            customdata=one.window_missed[gaps],
            hovertemplate=text("figure.sawtooth.gap", language) + "<extra></extra>",
            name=text("figure.sawtooth.gap_mark", language),
        )
    )


def _marks(
    figure: go.Figure,
    one: Sawtooth,
    rows: Flags,
    heights: Floats,
    marker: dict[str, object],
    legend: tuple[str, str],
    language: str,
) -> None:
    if rows.any():
        figure.add_trace(
            go.Scatter(
                x=one.x[rows],
                y=heights[rows],
                mode="markers",
                marker=marker,
                customdata=_known(one)[rows],
                hovertemplate=_hover(one, legend[1], language),
                **_legend(figure, *legend),
            )
        )


def _legend(figure: go.Figure, group: str, name: str) -> dict[str, object]:
    """One entry a kind of mark, however many layers have it."""
    first = all(trace.legendgroup != group for trace in figure.data)
    return {"legendgroup": group, "name": name, "showlegend": first}


def _known(one: Sawtooth) -> Floats:
    """Everything known about each event, for its hover."""
    return np.column_stack(
        [one.update, one.micro_step, one.value, one.micro_value, one.cosine, one.loss, one.event]
    ).astype(np.float64)


def _hover(one: Sawtooth, head: str, language: str, extra: Sequence[tuple[str, str]] = ()) -> str:
    values = number_format(one.value)
    fields = [
        (text("figure.word.layer", language), escape_plotly(one.layer)),
        (text("figure.word.update", language), "%{customdata[0]:d}"),
        (text("figure.word.micro_step", language), "%{customdata[1]:d}"),
        (text(f"figure.symbol.{one.statistic}", language), f"%{{customdata[2]:{values}}}"),
        *extra,
    ]
    optional = [
        (one.micro_value, text(f"figure.symbol.micro_{one.statistic}", language), 3),
        (one.cosine, text("figure.word.cosine", language), 4),
        (one.loss, text("figure.word.loss", language), 5),
    ]
    for column, label, place in optional:
        if np.isfinite(column).any():
            fields.append((label, f"%{{customdata[{place}]:{number_format(column)}}}"))
    return hover(head, [*fields, (text("figure.word.event", language), "%{customdata[6]:d}")])
