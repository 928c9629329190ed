"""What every picture shares: a template-neutral sheet, a title with a sentence under it, hover texts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gradviz.figures.palette import GRID
from gradviz.texts import text

CLEAR = "rgba(0,0,0,0)"
SENTENCE_WIDTH = 64  # letters; fits 420 pixels
LEFT, BELOW = 70, 56  # margins, which grow with what stands in them
# What they grow to: beside numbers and their title; under the title of an axis, without and with a legend of one line.
USUAL_LEFT, USUAL_TOP, USUAL_BARE, USUAL_BELOW = 90, 20, 64, 94
# A picture needs zoom, pan, reset and download; the rest covers the title, and one would upload the chart.
_BUTTONS = ["zoomIn2d", "zoomOut2d", "autoScale2d", "lasso2d", "select2d", "sendChartToCloud"]


def sheet(title: str, sentence: str = "", *, height: int = 440) -> go.Figure:
    """An empty figure: transparent, neutral grid, everything else left to the template in force."""
    lines = _wrapped(sentence, SENTENCE_WIDTH)
    axis = {"gridcolor": GRID, "zeroline": False, "showline": False, "ticks": ""}
    layout = {
        "title": {
            "text": title,
            "subtitle": {"text": "<br>".join(lines)},
            "x": 0,
            "y": 1,
            "xref": "container",
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10, "l": 12},
        },
        "meta": {"sentence": sentence},  # unbroken, for a page that wraps it itself
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "height": height,
        "margin": {"l": LEFT, "r": 20, "t": 72 + 16 * (len(lines) - 1), "b": BELOW},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        "modebar": {"remove": _BUTTONS},
        "hovermode": "closest",
        "barmode": "overlay",
        "bargap": 0.1,
        "xaxis": axis,
        "yaxis": axis,
    }
    return go.Figure(layout=layout)  # in one piece: to add to a figure costs Plotly ten times as much


def untitled(figure: go.Figure) -> None:
    """Take the title out, and make the margins as wide as they would grow: a picture that grows them is drawn twice."""
    margin, legend = figure.layout.margin, figure.layout.legend
    figure.update_layout(title={"text": "", "subtitle": {"text": ""}}, margin={"t": USUAL_TOP})
    if margin.l == LEFT:
        figure.update_layout(margin={"l": USUAL_LEFT})
    if margin.b == BELOW:
        has_legend = legend.yref == "container" and _has_legend(figure)
        figure.update_layout(margin={"b": USUAL_BELOW if has_legend else USUAL_BARE})


def _has_legend(figure: go.Figure) -> bool:
    told = [trace.showlegend for trace in figure.data if trace.showlegend is not False]
    return figure.layout.showlegend is not False and (len(told) > 1 or True in told)


def blank(title: str, key: str, language: str, **values: object) -> go.Figure:
    """A figure without axes that says in one sentence why there is nothing to see."""
    figure = sheet(title, height=260)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(meta={"sentence": text(key, language, **values)})
    lines = "<br>".join(_wrapped(figure.layout.meta["sentence"], 60))
    figure.add_annotation(text=lines, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font_size=15)
    return figure


def _wrapped(sentence: str, width: int) -> list[str]:
    """`sentence` in lines; Chinese letters are twice as wide and break anywhere."""
    wide = sum(letter >= "\u2e80" for letter in sentence)
    width = width // 2 if wide > len(sentence) / 3 else width
    return textwrap.wrap(sentence, width, break_on_hyphens=False)


def hover(head: str, fields: Sequence[tuple[str, str]]) -> str:
    """A hover template: a bold head, then one line a field (`label`, d3 placeholder)."""
    lines = [f"<b>{head}</b>", *(f"{label}: {value}" for label, value in fields)]
    return "<br>".join(lines) + "<extra></extra>"


def no_hover() -> dict[str, Any]:
    """Keywords of a trace that is only decoration."""
    return {"hoverinfo": "skip", "showlegend": False}
