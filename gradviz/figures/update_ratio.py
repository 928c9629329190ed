"""Update ratio: how far each update moves the weights relative to their size, over the whole run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.update_ratio import QUANTILES, UpdateRatio
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.names import hovered_name, short_name
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, CYAN, GREEN, NEUTRAL, PURPLE, YELLOW, faded
from gradviz.figures.value_axis import Floats, ValueAxis, value_axis
from gradviz.texts import joined, text

GUIDE = 1e-3  # the usual rule of thumb
_CHOSEN = (YELLOW, PURPLE, CYAN, GREEN, "#EE8866", "#BBBBBB")  # the last two of Tol's light set
_BANDS = ((0, 4, 0.14), (1, 3, 0.28))  # quantiles from and to, and how opaque the space between them is


def plot_update_ratio(record: UpdateRatio, *, layers: Sequence[str] = (), language: str = "en") -> go.Figure:
    """||dw|| / ||w|| over updates: the median over weights, bands of half and of nine tenths of them, some layers.

    *How to read it*: around 1e-3 (dashed) most trainings do well. A band that lies decades under it hardly learns:
    raise the learning rate; one near 1e-1 rewrites the weights at each update. A band that widens says that some
    layers run away from the others; its ends in the hover name them. Exact zeros have a line of their own.

    *Requires*: a run recorded by this version or a newer one, with its optimizer: the sizes are taken at updates.
    """
    title = text("figure.update_ratio.title", language)
    known = ~np.isnan(record.band[2]) if record.band.size else np.zeros(0, dtype=np.bool_)
    chosen = [record.layers.index(layer) for layer in layers if layer in record.layers]
    if not known.any():
        return blank(title, "figure.update_ratio.empty", language)
    figure = sheet(title, _sentence(record, language), height=400)
    values = np.concatenate([record.band.ravel(), record.ratio[chosen].ravel(), [GUIDE]])
    axis = value_axis(values, np.zeros(len(values), dtype=np.int64), log=True)
    for low, high, opacity in _BANDS:
        _band(figure, record, axis, low, high, opacity, language)
    for number_, place in enumerate(chosen):
        _line(figure, record, axis, place, _CHOSEN[number_ % len(_CHOSEN)])
    _median(figure, record, axis, language)
    _lay_out(figure, axis, language)
    return figure


def _sentence(record: UpdateRatio, language: str) -> str:
    middle = record.band[2][~np.isnan(record.band[2])]
    ends = {"first": number(float(middle[0])), "last": number(float(middle[-1]))}
    sentences = [text("figure.update_ratio.sentence", language, count=int(record.weights.sum()), **ends)]
    missing = int(np.isnan(record.band[2]).sum())
    if missing:
        sentences.append(text("figure.update_ratio.missing", language, count=missing * record.each))
    if record.each > 1:
        sentences.append(text("figure.update_ratio.merged", language, each=record.each))
    return joined(sentences, language)


def _heights(axis: ValueAxis, values: Floats) -> Floats:
    """On a log axis zeros stand on their shelf."""
    heights = axis.place(values, np.zeros(len(values), dtype=np.int64))
    return np.where(np.isnan(values), np.nan, heights)


def _band(
    figure: go.Figure, record: UpdateRatio, axis: ValueAxis, low: int, high: int, opacity: float, language: str
) -> None:  # fmt: skip
    """One outline for each stretch of updates without a gap: nothing is drawn where nothing is known."""
    x: list[Floats] = []
    y: list[Floats] = []
    bottom, top = (_heights(axis, record.band[place]) for place in (low, high))
    for stretch in _stretches(bottom):
        updates = record.update[stretch].astype(np.float64)
        x += [updates, updates[::-1], np.array([np.nan])]
        y += [bottom[stretch], top[stretch][::-1], np.array([np.nan])]
    share = round(100 * (QUANTILES[high] - QUANTILES[low]))
    figure.add_trace(
        go.Scatter(
            x=np.concatenate(x),
            y=np.concatenate(y),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=faded(BLUE, opacity),
            name=text("figure.update_ratio.band", language, share=share),
            hoverinfo="skip",
        )
    )


def _stretches(heights: Floats) -> list[slice]:
    """Where a line runs without a gap."""
    known = np.concatenate([[False], ~np.isnan(heights), [False]])
    edges = np.flatnonzero(known[1:] != known[:-1])
    return [slice(first, end) for first, end in edges.reshape(-1, 2)]


def _median(figure: go.Figure, record: UpdateRatio, axis: ValueAxis, language: str) -> None:
    """The line of the median; its hover has the band and names the weights at its ends."""
    words = [
        [_updates(record, point), *(number(float(value)) for value in record.band[:, point]),
         *(_named(record, int(ends[point]), point) for ends in (record.lowest, record.highest))]
        for point in range(len(record.update))
    ]  # fmt: skip
    fields = [
        (text("figure.word.median", language), "%{customdata[3]}"),
        (text("figure.update_ratio.half", language), "%{customdata[2]} – %{customdata[4]}"),
        (text("figure.update_ratio.most", language), "%{customdata[1]} – %{customdata[5]}"),
        (text("figure.update_ratio.lowest", language), "%{customdata[6]}"),
        (text("figure.update_ratio.highest", language), "%{customdata[7]}"),
    ]
    head = f"{text('figure.word.update', language)} %{{customdata[0]}}"
    figure.add_trace(
        go.Scatter(
            x=record.update,
            y=_heights(axis, record.band[2]),
            mode="lines",
            line={"color": BLUE, "width": 2.5},
            name=text("figure.update_ratio.median", language),
            customdata=np.array(words, dtype=object),
            hovertemplate=hover(head, fields),
        )
    )


def _line(figure: go.Figure, record: UpdateRatio, axis: ValueAxis, place: int, colour: str) -> None:
    name = short_name(record.layers[place])
    words = [
        [_updates(record, point), number(float(value))] for point, value in enumerate(record.ratio[place])
    ]
    figure.add_trace(
        go.Scatter(
            x=record.update,
            y=_heights(axis, record.ratio[place]),
            mode="lines",
            line={"color": colour, "width": 1.5},
            name=name,
            customdata=np.array(words, dtype=object),
            hovertemplate=hover(
                hovered_name(record.layers[place]), [("%{customdata[0]}", "%{customdata[1]}")]
            ),
        )
    )


def _named(record: UpdateRatio, place: int, point: int) -> str:
    return (
        "–"
        if place < 0
        else f"{number(float(record.ratio[place, point]))} ({short_name(record.layers[place])})"
    )


def _updates(record: UpdateRatio, point: int) -> str:
    first = int(record.update[point])
    return str(first) if record.each == 1 else f"{first}–{first + record.each - 1}"


def _lay_out(figure: go.Figure, axis: ValueAxis, language: str) -> None:
    axis.draw_shelves(figure)
    figure.add_hline(GUIDE, line={"color": NEUTRAL, "width": 1.2, "dash": "dash"})
    figure.add_annotation(
        x=1,
        xref="paper",
        y=np.log10(GUIDE),
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11, "color": NEUTRAL},
        text=text("figure.update_ratio.guide", language, guide=number(GUIDE)),
    )
    figure.update_xaxes(title_text=text("figure.word.update", language))
    figure.update_yaxes(title_text=text("figure.update_ratio.y", language), **axis.layout)
