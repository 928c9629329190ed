"""The traces of the sawtooth, one function each: line, bars, and a mark for everything that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import hover, no_hover
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import NEUTRAL, RED, faded, line_colour
from gradviz.figures.value_axis import Flags, Floats, ValueAxis
from gradviz.schema import Phase
from gradviz.texts import text

_MARKERS = 800  # points up to which each one gets a dot
_MARKS = {
    "clean": {"symbol": "circle-open", "size": 7, "color": NEUTRAL, "line": {"width": 1.5}},
    "not_reset": {"symbol": "x", "size": 10, "color": RED},
    "left": {"symbol": "circle", "size": 6, "color": NEUTRAL},
    "edit": {"symbol": "triangle-down", "size": 9, "color": RED},
    "nonfinite": {"symbol": "x-thin", "size": 8, "color": RED, "line": {"width": 2, "color": RED}},
    "none": {"symbol": "circle-open-dot", "size": 7, "color": NEUTRAL},
}


@dataclass(frozen=True)
class Pen:
    """What every trace of one picture needs: where to draw, the axis of G_k, the language."""

    figure: go.Figure
    axis: ValueAxis
    language: str

    def heights(self, one: Sawtooth) -> Floats:
        """Where the value of each event stands; None after a reset or an edit is zero."""
        return self.axis.place(one.cleared_value, one.cleared_nonfinite)

    def word(self, key: str) -> str:
        """A sentence of the sawtooth."""
        return text(f"figure.sawtooth.{key}", self.language)


def rise(pen: Pen, one: Sawtooth, place: int) -> None:
    """The line through G_0, G_1 .. G_n, broken where an event is missing.

    Where clipping made the consumed value another one, the fall to the reset begins there.
    """
    on_line = (one.phase != Phase.UPDATE) | one.rescaled
    line = np.flatnonzero(on_line)
    heights = np.where(one.cleared_nonfinite == 0, pen.heights(one), np.nan)
    joined = one.joined[line] & (one.phase[line] != Phase.UPDATE)
    breaks = np.flatnonzero(~joined)[1:]
    few = len(line) <= _MARKERS
    micro = one.phase[line] == Phase.MICRO_STEP
    lonely = micro & ~joined & ~np.append(joined[1:], False)
    sizes = np.where(micro & few, 5.0, np.where(lonely, 4.0, 0.0))
    pen.figure.add_trace(
        go.Scatter(
            x=np.insert(one.x[line], breaks, np.nan),
            y=np.insert(heights[line], breaks, np.nan),
            mode="lines+markers" if few or lonely.any() else "lines",
            line={"color": line_colour(place), "width": 2 if few else 1.2},
            marker={"size": np.insert(sizes, breaks, 0.0), "color": line_colour(place), "line": {"width": 0}},
            customdata=np.insert(_known(one)[line], breaks, np.nan, axis=0),
            hovertemplate=_hover(one, pen.word("accumulated"), pen.language),
            name=short_name(one.layer),
            legendgroup=f"layer {place}",
            legendrank=place,
            cliponaxis=False,
        )
    )


def micro_bars(pen: Pen, one: Sawtooth, axis: ValueAxis, place: tuple[int, int]) -> None:
    """g_k of every micro-step, under the tooth it built; `place` of how many layers, side by side."""
    rows = (one.phase == Phase.MICRO_STEP) & (one.micro_nonfinite >= 0)
    width = 0.8 / place[1]
    base = axis.bottom if axis.log else 0.0
    wrong = one.micro_nonfinite[rows] > 0
    pen.figure.add_trace(
        go.Bar(
            x=one.x[rows],
            y=axis.place(one.micro_value, one.micro_nonfinite)[rows] - base,
            base=base,
            width=width,
            offset=-0.9 + width * place[0],
            marker={
                "color": np.where(wrong, RED, line_colour(place[0])),
                "opacity": 0.75,
                "line": {"width": 0},
            },
            customdata=_known(one)[rows],
            hovertemplate=_hover(one, pen.word("micro"), pen.language),
            yaxis="y2",
            name=short_name(one.layer),
            legendgroup=f"layer {place[0]}",
            showlegend=False,
        )
    )


def consumed_marks(pen: Pen, one: Sawtooth) -> None:
    """A diamond at the value that the optimizer consumed, tied to G_n where the two differ."""
    rows = (one.phase == Phase.UPDATE) & (one.nonfinite == 0)
    if not rows.any():
        return
    _clip_ties(pen, one)
    fields = [("G<sub>n</sub>", f"%{{customdata[7]:{number_format(one.value)}}}")]
    marker = {"symbol": "diamond", "size": 9, "color": NEUTRAL, "line": {"width": 1, "color": "white"}}
    pen.figure.add_trace(
        go.Scatter(
            x=one.x[rows],
            y=pen.heights(one)[rows],
            mode="markers",
            marker=marker,
            customdata=np.column_stack([_known(one), one.arrived])[rows],
            hovertemplate=_hover(one, pen.word("consumed"), pen.language, fields),
            cliponaxis=False,
            **_legend(pen, "consumed", pen.word("consumed")),
        )
    )


def _clip_ties(pen: Pen, one: Sawtooth) -> None:
    rows = one.rescaled & np.isfinite(one.arrived)
    if not rows.any():
        return
    tops = pen.axis.place(one.arrived[rows], np.zeros(int(rows.sum()), dtype=np.int64))
    ends = pen.heights(one)[rows]
    pen.figure.add_trace(
        go.Scatter(
            x=np.repeat(one.x[rows], 3),
            y=np.column_stack([tops, ends, np.full(len(tops), np.nan)]).ravel(),
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            **no_hover(),
        )
    )


def event_marks(pen: Pen, one: Sawtooth) -> None:
    """Resets (hollow circle), missing resets (red cross), edits (triangle), NaN and None on their shelves."""
    kinds = {
        "clean": one.clean,
        "not_reset": one.not_reset,
        "left": one.left,
        "edit": one.phase == Phase.EDIT,
        "nonfinite": one.cleared_nonfinite > 0,
        "none": one.cleared_nonfinite < 0,
    }
    for kind, rows in kinds.items():
        _marks(pen, one, kind, rows)


def _marks(pen: Pen, one: Sawtooth, kind: str, rows: Flags) -> None:
    if not rows.any():
        return
    name = pen.word(f"{kind}_mark")
    pen.figure.add_trace(
        go.Scatter(
            x=one.x[rows],
            y=pen.heights(one)[rows],
            mode="markers",
            marker=_MARKS[kind],
            customdata=_known(one)[rows],
            hovertemplate=_hover(one, name, pen.language),
            cliponaxis=False,
            **_legend(pen, kind, name),
        )
    )


def stale_floor(pen: Pen, one: Sawtooth) -> None:
    """The part of a tooth that is older than its window, as a red floor."""
    rows = np.flatnonzero(one.not_reset & (one.nonfinite == 0))
    if not len(rows):
        return
    length = one.window_length[one.window[rows]]
    base = pen.axis.bottom if pen.axis.log else 0.0
    pen.figure.add_trace(
        go.Bar(
            x=one.x[rows] + length / 2,
            y=one.value[rows] - base,
            base=base,
            width=length,
            marker={"color": faded(RED, 0.28), "line": {"width": 0}},
            customdata=_known(one)[rows],
            hovertemplate=_hover(one, pen.word("stale_floor"), pen.language),
            name=pen.word("stale_floor"),
            legendrank=2000,
        )
    )


def gap_bands(pen: Pen, one: Sawtooth) -> None:
    """A grey band where windows were not recorded, with their number in the hover."""
    gaps = np.flatnonzero(one.window_missed > 0)
    if not len(gaps):
        return
    ends = one.window_start[gaps - 1] + one.window_length[gaps - 1]
    width = one.window_start[gaps] - ends
    pen.figure.add_trace(
        go.Bar(
            x=ends + width / 2,
            y=np.full(len(gaps), pen.axis.top - pen.axis.bottom),
            base=pen.axis.bottom,
            width=width,
            marker={"color": faded(NEUTRAL, 0.25), "line": {"width": 0}},
            customdata=one.window_missed[gaps],
            hovertemplate=pen.word("gap") + "<extra></extra>",
            name=pen.word("gap_mark"),
            legendrank=2001,
        )
    )


def _legend(pen: Pen, group: str, name: str) -> dict[str, object]:
    """One entry a kind of mark, however many layers have it."""
    first = all(trace.legendgroup != group for trace in pen.figure.data)
    return {"legendgroup": group, "name": name, "showlegend": first}


def _known(one: Sawtooth) -> Floats:
    """Everything known about each event, for its hover."""
    columns = [one.update, one.micro_step, one.value, one.micro_value, one.cosine, one.loss, one.event]
    return np.column_stack(columns).astype(np.float64)


def _hover(one: Sawtooth, head: str, language: str, extra: Sequence[tuple[str, str]] = ()) -> str:
    fields = [
        (text("figure.word.layer", language), escape_plotly(one.layer)),
        (text("figure.word.update", language), "%{customdata[0]:d}"),
        (text("figure.word.micro_step", language), "%{customdata[1]:d}"),
        (
            text(f"figure.symbol.{one.statistic}", language),
            f"%{{customdata[2]:{number_format(one.value)}}}",
        ),
        *extra,
    ]
    optional = [
        (one.micro_value, f"figure.symbol.micro_{one.statistic}", 3),
        (one.cosine, "figure.word.cosine", 4),
        (one.loss, "figure.word.loss", 5),
    ]
    for column, key, place in optional:
        if np.isfinite(column).any():
            fields.append((text(key, language), f"%{{customdata[{place}]:{number_format(column)}}}"))
    return hover(head, [*fields, (text("figure.word.event", language), "%{customdata[6]:d}")])
