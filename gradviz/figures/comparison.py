"""Two runs held against each other: when do they part, and how fast?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.comparison import Comparison
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.comparison_wording import comparison_sentences
from gradviz.figures.names import escape_plotly
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, NEUTRAL, RED
from gradviz.figures.value_axis import ValueAxis, value_axis
from gradviz.texts import joined, text

HEIGHT = 340
DOTS = 200  # updates that may each have a marker
POINTS = 4000  # more are drawn as the largest of each stretch


def plot_comparison(comparison: Comparison, *, language: str = "en") -> go.Figure:
    """The largest relative difference of any layer's norm at each update.

    *How to read it*: on the line `0` all that was recorded is equal. The red mark is the first moment beyond the
    dashed tolerance. A line that climbs slowly from rounding errors is the butterfly effect of training; one that
    jumps at once has a cause at that moment. `∞`: only one of the runs has a gradient, or a finite one.

    *Requires*: two runs with layers of the same name and windows that both recorded.
    """
    title = text("figure.comparison.title", language)
    sentence = joined(comparison_sentences(comparison, language, _short), language)
    if not comparison.compared or comparison.is_identical:
        return blank(title, "comparison.said", language, sentences=sentence)
    figure = sheet(title, sentence, height=HEIGHT)
    update, largest = _thinned(comparison)
    broken = np.isinf(largest).astype(np.int64)
    tolerance = [comparison.rtol] if comparison.rtol > 0 else []
    axis = value_axis(
        np.append(largest, tolerance), np.append(broken, np.zeros(len(tolerance), int)), log=True
    )
    form = [(text("figure.comparison.y", language), "%{customdata}")]
    figure.add_trace(
        go.Scatter(
            x=update,
            y=axis.place(largest, broken),
            mode="lines+markers" if len(update) <= DOTS else "lines",
            line={"color": BLUE, "width": 2},
            marker={"size": 5},
            customdata=[number(value) for value in largest],
            hovertemplate=hover(f"{text('figure.word.update', language)} %{{x}}", form),
            showlegend=False,
        )
    )
    _mark(figure, comparison, axis, language)
    if tolerance:
        _draw_tolerance(figure, comparison.rtol, language)
    figure.update_xaxes(title_text=text("figure.word.update", language))
    figure.update_yaxes(title_text=text("figure.comparison.y", language), **_layout(axis))
    axis.draw_shelves(figure)
    return figure


def _thinned(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    update, largest = comparison.update, comparison.largest
    if len(update) <= POINTS:
        return update, largest
    stretches = np.array_split(np.arange(len(update)), POINTS)
    kept = np.array([stretch[np.argmax(largest[stretch])] for stretch in stretches])
    return update[kept], largest[kept]


def _mark(figure: go.Figure, comparison: Comparison, axis: ValueAxis, language: str) -> None:
    difference = comparison.first_difference
    at = np.flatnonzero(comparison.update == (-1 if difference is None else difference.update))
    if not len(at):
        return
    height = comparison.largest[at]
    figure.add_trace(
        go.Scatter(
            x=comparison.update[at],
            y=axis.place(height, np.isinf(height).astype(np.int64)),
            mode="markers",
            marker={"size": 13, "color": RED, "symbol": "diamond"},
            name=text("figure.comparison.mark", language),
            hoverinfo="skip",
            showlegend=True,
        )
    )


def _draw_tolerance(figure: go.Figure, rtol: float, language: str) -> None:
    """A dashed line and its name: on a log axis a line stands at its value, words stand at its logarithm."""
    figure.add_hline(rtol, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        text=text("figure.comparison.tolerance", language, rtol=number(rtol)),
        font={"color": NEUTRAL},
        showarrow=False,
        xref="paper",
        x=1,
        xanchor="right",
        y=np.log10(rtol),
        yanchor="bottom",
    )


def _layout(axis: ValueAxis) -> dict[str, object]:
    """On this axis infinity is no fault of the numbers: only one run has any."""
    layout = axis.layout
    return layout | {"ticktext": ["∞" if tick == "NaN·Inf" else tick for tick in layout["ticktext"]]}


def _short(name: str) -> str:
    """A name inside a sentence."""
    return escape_plotly(name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}")
