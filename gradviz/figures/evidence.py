"""Evidence: the numbers behind a finding, and what they are held against."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.evidence_thinning import thin_evidence
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.evidence_layers import LayerBars
from gradviz.figures.evidence_limits import LimitLines
from gradviz.figures.numbers import number_format
from gradviz.figures.palette import BLUE, RED
from gradviz.figures.value_axis import Flags, Floats, ValueAxis, value_axis
from gradviz.texts import joined, text

HEIGHT = 300
DOTS = 200  # points that may each have a marker
NEARLY = 0.25  # values this close to their limit: an axis from zero would show a straight line
EQUAL = 1e-4  # closer than this they are the same
BLOCKS = frozenset({"noise_scale"})  # known once for several windows: what lies between is no gap


def plot_evidence(series: EvidenceSeries, *, layers: Collection[str] = (), language: str = "en") -> go.Figure:
    """What a check looked at: a line over updates or micro-steps, or a bar for each layer.

    Args:
        series: `Finding.series`.
        layers: names to mark where the series runs over layers (`Finding.layers`).

    *How to read it*: red are the updates, micro-steps or layers that the finding is about; dashed lines are what
    the numbers are held against. What is not finite stands on a line of its own above all numbers, an exact zero
    on a log axis on one below them. The sentence says what a healthy run shows.

    *Requires*: a finding with a series; some have none, because there is nothing to plot.
    """
    title = text(f"figure.evidence.title.{series.quantity}", language)
    if not (np.isfinite(series.y) | _broken(series)).any():
        return blank(title, "figure.evidence.empty", language)
    if series.over == "layer":
        series = replace(series, marked=np.isin(np.array(series.names, dtype=object), list(layers)))
    shown = thin_evidence(_drawable(series))
    figure = sheet(title, _sentence(series, shown, language), height=HEIGHT)
    axis = _axis(shown)
    words = text(f"figure.evidence.y.{series.quantity}", language)
    if series.over == "layer":
        LayerBars(figure, shown, axis, language).draw(words)
        return figure
    LimitLines(figure, shown, language).draw()
    _line(figure, shown, axis, words, language)
    _marks(figure, shown, axis, words, language)
    figure.update_xaxes(title_text=text(f"figure.evidence.x_{series.over}", language), range=_ends(shown.x))
    figure.update_yaxes(title_text=words, **_named_shelves(axis.layout, series, language))
    figure.update_layout(showlegend=False)
    axis.draw_shelves(figure)
    return figure


def _drawable(series: EvidenceSeries) -> EvidenceSeries:
    """On a log axis nothing lies below zero; windows between two blocks have no number of their own."""
    series = replace(series, y=np.maximum(series.y, 0)) if series.log else series
    if series.quantity not in BLOCKS:
        return series
    known = ~np.isnan(series.y)
    return replace(series, x=series.x[known], y=series.y[known], marked=series.marked[known])


def _broken(series: EvidenceSeries) -> Flags:
    """Points that are not finite, where that is the finding; other NaN are unknown and left out."""
    return np.isinf(series.y) | (series.marked & np.isnan(series.y))


def _sentence(series: EvidenceSeries, shown: EvidenceSeries, language: str) -> str:
    sentences = [text(f"figure.evidence.read.{series.quantity}", language)]
    count = int(series.marked.sum())
    if 0 < count < len(series.y):
        sentences.append(
            text(f"figure.evidence.marked_{series.over}", language, count=count, total=len(series.y))
        )
    if len(shown.y) < len(series.y) and series.quantity not in BLOCKS:
        sentences.append(text("figure.evidence.thinned", language, shown=len(shown.y), total=len(series.y)))
    return joined(sentences, language)


def _axis(series: EvidenceSeries) -> ValueAxis:
    """An axis that holds the numbers and their limits; below zero too, where a quantity goes there."""
    limits = np.array([limit for limit in series.limits if limit > 0 or not series.log], dtype=np.float64)
    broken = np.concatenate([_broken(series), np.zeros(len(limits), dtype=np.bool_)]).astype(np.int64)
    values = np.concatenate([series.y, limits])
    axis = value_axis(values, broken, log=series.log)
    return axis if series.log else replace(axis, low=_lowest(values[np.isfinite(values)], bool(len(limits))))


def _lowest(values: Floats, against_limits: bool) -> float:
    """Where a linear axis begins: at zero, unless values lie below it, or close to what they are held against."""
    least, most = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if least < 0:
        return 1.1 * least
    if against_limits and EQUAL * most < most - least < NEARLY * most:
        return least - 0.25 * (most - least)
    return -0.02 * most if least == 0 and most > 0 else 0.0


def _heights(series: EvidenceSeries, axis: ValueAxis) -> Floats:
    return axis.place(series.y, _broken(series).astype(np.int64))


def _named_shelves(layout: dict[str, Any], series: EvidenceSeries, language: str) -> dict[str, Any]:
    """An infinite noise scale is no fault in the numbers: the signal cannot be told from nothing."""
    if series.quantity not in BLOCKS or "ticktext" not in layout:
        return layout
    unresolved = text("figure.evidence.unresolved", language)
    return layout | {"ticktext": [unresolved if tick == "NaN·Inf" else tick for tick in layout["ticktext"]]}


def _template(series: EvidenceSeries, words: str, language: str) -> str:
    over = text(f"figure.evidence.x_{series.over}", language)
    return hover(f"{over} %{{x:d}}", [(words, f"%{{customdata:{number_format(series.y)}}}")])


def _line(figure: go.Figure, series: EvidenceSeries, axis: ValueAxis, words: str, language: str) -> None:
    known = np.isfinite(series.y)
    figure.add_trace(
        go.Scatter(
            x=series.x,
            y=np.where(known, _heights(series, axis), np.nan),
            mode="lines+markers" if len(series.y) <= DOTS else "lines",
            line={"color": BLUE, "width": 2 if len(series.y) <= DOTS else 1.2},
            marker={"size": 5, "color": BLUE},
            customdata=series.y,
            hovertemplate=_template(series, words, language),
            name=words,
        )
    )


def _marks(figure: go.Figure, series: EvidenceSeries, axis: ValueAxis, words: str, language: str) -> None:
    """Marked points in red: a dot, or a cross where the value is not finite."""
    for rows, symbol in (
        (series.marked & ~_broken(series), "circle"),
        (_broken(series), "x-thin"),
    ):
        if rows.any():
            size = 8 if rows.sum() <= DOTS else 4
            figure.add_trace(
                go.Scatter(
                    x=series.x[rows],
                    y=_heights(series, axis)[rows],
                    mode="markers",
                    marker={"symbol": symbol, "size": size, "color": RED, "line": {"width": 2, "color": RED}},
                    customdata=series.y[rows],
                    hovertemplate=_template(series, words, language),
                    name=text("figure.evidence.mark", language),
                    cliponaxis=False,
                )
            )


def _ends(x: Floats) -> list[float]:
    room = max(0.5, 0.02 * (x[-1] - x[0]))
    return [float(x[0] - room), float(x[-1] + room)]
