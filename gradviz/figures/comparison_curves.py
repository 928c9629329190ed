"""Several runs on one axis: one colour a run, one panel a part of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.comparison_curves import WHOLE_MODEL, ComparedCurves, Curve
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.names import escape_plotly, short_name
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import BLUE, CYAN, GREEN, NEUTRAL, PURPLE, RED, YELLOW
from gradviz.figures.value_axis import Floats, ValueAxis, value_axis
from gradviz.texts import joined, text

COLOURS = (BLUE, YELLOW, PURPLE, GREEN, CYAN, NEUTRAL)  # six runs: the colour-blind safe five and grey
WIDEST, NARROWEST = 4.0, 1.5  # the first run is drawn widest: lines that lie upon each other are all seen
DOTS = 120  # points that may each have a marker
PANEL, FRAME = 230, 130


def plot_compared_curves(curves: ComparedCurves, *, log: bool = True, language: str = "en") -> go.Figure:
    """What each run's updates consumed (or its losses), on an axis that the runs share.

    *How to read it*: one colour a run, one panel a layer, or one for the whole model. Lines that lie upon each other
    are trainings that went the same way; where they part, something began to differ. A line stops where its run
    ends, and is broken where updates are missing. Crosses on the line above all numbers are NaN or Inf.

    *Requires*: updates that were recorded. On an axis of samples or tokens: their number, logged at every micro-step.
    """
    title = _title(curves, language)
    if not any(len(curve.x) for part in curves.curves for curve in part):
        return blank(title, f"figure.compared_curves.empty_{_kind(curves)}", language)
    figure = sheet(
        title, _sentence(curves, language), height=FRAME + int(PANEL * max(len(curves.parts), 1.3))
    )
    if len(curves.parts) > 1:
        names = [short_name(part, 60) for part in curves.parts]
        figure.set_subplots(
            rows=len(names),
            cols=1,
            shared_xaxes=True,
            subplot_titles=names,
            vertical_spacing=0.28 / len(names),
        )
        figure.update_annotations(font_size=13)
    for row, part in enumerate(curves.curves, start=1):
        _panel(figure, curves, part, row, log, language)
    figure.update_xaxes(showgrid=False)
    last = _place(curves, len(curves.parts))
    figure.update_xaxes(title_text=text(f"comparison.axis.{curves.axis}", language), **last)
    return figure


def _title(curves: ComparedCurves, language: str) -> str:
    if curves.quantity == "loss":
        return text("figure.compared_curves.title_loss", language)
    statistic = text(f"figure.statistic.{curves.quantity}", language)
    return text("figure.compared_curves.title_consumed", language, statistic=statistic)


def _kind(curves: ComparedCurves) -> str:
    return "loss" if curves.quantity == "loss" else "consumed"


def _sentence(curves: ComparedCurves, language: str) -> str:
    sentences = []
    if curves.quantity == "loss":
        sentences.append(text("figure.compared_curves.loss", language))
    else:
        whole = curves.parts == (WHOLE_MODEL,)
        sentences.append(text(f"figure.compared_curves.{'model' if whole else 'layers'}", language))
    if curves.each > 1:
        sentences.append(text("figure.compared_curves.blocks", language, each=curves.each))
    total = max(curve.total for part in curves.curves for curve in part)
    shown = max(len(curve.x) for part in curves.curves for curve in part)
    if shown < total:
        sentences.append(text("figure.compared_curves.thinned", language, shown=shown, total=total))
    return joined(sentences, language)


def _panel(
    figure: go.Figure, curves: ComparedCurves, part: tuple[Curve, ...], row: int, log: bool, language: str
) -> None:
    values = np.concatenate([curve.value for curve in part])
    broken = np.concatenate([curve.broken for curve in part]).astype(np.int64)
    axis = None if _is_plain(curves, values, log) else value_axis(values, broken, log=log)
    place = _place(curves, row)
    for number, curve in enumerate(part):
        _line(figure, curves, curve, number, axis, place, language, is_first=row == 1)
        if axis is not None and curve.broken.any():
            _crosses(figure, curve, number, axis, place, language)
    words = _words(curves, language)
    figure.update_yaxes(title_text=words, **({} if axis is None else axis.layout), **place)
    if axis is not None:
        _shelves(figure, axis, place)


def _words(curves: ComparedCurves, language: str) -> str:
    key = "figure.word.loss" if curves.quantity == "loss" else f"figure.statistic.{curves.quantity}"
    return text(key, language)


def _place(curves: ComparedCurves, row: int) -> dict[str, Any]:
    """Keywords for a trace or axis of a panel; a figure of one panel has no rows."""
    return {"row": row, "col": 1} if len(curves.parts) > 1 else {}


def _is_plain(curves: ComparedCurves, values: Floats, log: bool) -> bool:
    """A loss may be below zero, where the axis of a gradient's size has no place for it."""
    return curves.quantity == "loss" and (not log or not bool((values > 0).all()))


def _line(
    figure: go.Figure,
    curves: ComparedCurves,
    curve: Curve,
    number: int,
    axis: ValueAxis | None,
    place: dict[str, Any],
    language: str,
    *,
    is_first: bool,
) -> None:
    colour = COLOURS[number % len(COLOURS)]
    name = short_name(curve.run, 40)
    heights = curve.value if axis is None else axis.place(curve.value, np.zeros(len(curve.x), np.int64))
    x, y, update, value = _broken_at_gaps(curve, np.where(curve.broken, np.nan, heights))
    fields = [
        (text("figure.word.update", language), "%{customdata[0]:d}"),
        (
            _words(curves, language),
            f"%{{customdata[1]:{number_format(curve.value)}}}",
        ),
    ]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines+markers" if curve.total <= DOTS else "lines",
            line={"color": colour, "width": _width(number, len(curves.runs))},
            marker={"size": 4, "color": colour},
            customdata=np.column_stack([update, value]),
            hovertemplate=hover(escape_plotly(curve.run), fields),
            name=name,
            legendgroup=str(number),
            showlegend=is_first,
        ),
        **place,
    )


def _crosses(
    figure: go.Figure, curve: Curve, number: int, axis: ValueAxis, place: dict[str, Any], language: str
) -> None:
    """Where the curve was not finite: on the line above all numbers."""
    at = curve.x[curve.broken]
    line = {"width": 2.5, "color": COLOURS[number % len(COLOURS)]}
    fields = [(text("figure.mark.nonfinite", language), "%{x}")]
    figure.add_trace(
        go.Scatter(
            x=at,
            y=np.full(len(at), axis.nonfinite),
            mode="markers",
            marker={"symbol": "x-thin", "size": 9, "line": line},
            hovertemplate=hover(escape_plotly(curve.run), fields),
            legendgroup=str(number),
            showlegend=False,
        ),
        **place,
    )


def _width(number: int, runs: int) -> float:
    return WIDEST - (WIDEST - NARROWEST) * number / max(runs - 1, 1)


def _broken_at_gaps(curve: Curve, heights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """x, y, update and value with a hole wherever more updates lie between two points than usual."""
    columns = (curve.x, heights, curve.update.astype(np.float64), curve.value)
    apart = np.diff(curve.update)
    if len(curve.x) < curve.total or not len(apart):  # a thinned curve has other distances
        return columns
    gaps = 1 + np.flatnonzero(apart > np.median(apart))
    x, y, update, value = (np.insert(column, gaps, np.nan) for column in columns)
    return x, y, update, value


def _shelves(figure: go.Figure, axis: ValueAxis, place: dict[str, Any]) -> None:
    for at, used in ((axis.zero, axis.has_zero and axis.log), (axis.nonfinite, axis.has_nonfinite)):
        if used:
            figure.add_hline(
                at,
                line={"color": RED if at == axis.nonfinite else NEUTRAL, "width": 1, "dash": "dot"},
                layer="below",
                **place,
            )
