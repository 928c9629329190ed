"""Ridge of distributions: how the sizes of a gradient's elements move as training goes on."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.distribution import Distribution, merge_updates
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.distribution import limits_sentence, named, share_text
from gradviz.figures.exponent_axis import Column, ExponentAxis, exponent_axis
from gradviz.figures.palette import BLUE, NEUTRAL, faded
from gradviz.schema import ZEROS_BIN
from gradviz.texts import joined, text

ROWS = 24  # ridges that can be told apart
OVERLAP = 2.4  # height of the tallest, in distances between two


def plot_distribution_ridge(distribution: Distribution, *, language: str = "en") -> go.Figure:
    """One hill an update over binary exponents, the first at the bottom; of many updates, neighbours are added up.

    *How to read it*: follow the hills upwards. Hills that drift to the left shrink towards the limits of
    float16 (dotted) and in the end vanish in it; hills that grow a second summit come from two kinds of
    elements; a grey block at the left that grows is a gradient that turns into exact zeros.

    *Requires*: a run recorded with `watch(..., distributions=True)`.
    """
    title = text("figure.distribution.title_ridge", language, **named(distribution, language))
    if not distribution.counts.any():
        return blank(title, "figure.distribution.empty", language)
    merged = merge_updates(distribution, rows=ROWS)
    figure = sheet(title, _sentence(distribution, merged, language), height=260 + 16 * len(merged.updates))
    axis = exponent_axis(merged.counts.sum(axis=0))
    shares = merged.shares
    scale = OVERLAP / max(float(np.delete(shares, ZEROS_BIN, axis=1).max()), 0.05)
    for row in reversed(range(len(merged.updates))):
        _hill(figure, axis, merged, row, scale, language)
    _zeros(figure, axis.zeros, merged, language)
    axis.lay_out(figure, language)
    every = -(-len(merged.updates) // 12)
    places = list(range(0, len(merged.updates), every))
    figure.update_yaxes(
        title_text=text("figure.word.update", language),
        tickmode="array",
        tickvals=places,
        ticktext=[_updates(merged, row) for row in places],
        range=[-0.5, len(merged.updates) - 1 + OVERLAP + 1.4],
    )
    figure.update_layout(showlegend=False)
    return figure


def _sentence(distribution: Distribution, merged: Distribution, language: str) -> str:
    sentences = [limits_sentence(merge_updates(distribution, rows=1), language)]
    if merged is not distribution:
        counts = {"each": int(merged.updates[0]), "count": int(merged.updates.sum())}
        sentences.append(text("figure.distribution.merged", language, **counts))
    return joined(sentences, language)


def _updates(merged: Distribution, row: int) -> str:
    first, last = int(merged.first_update[row]), int(merged.last_update[row])
    return f"{first}" if first == last else f"{first}–{last}"


def _hill(figure: go.Figure, axis: ExponentAxis, merged: Distribution, row: int, scale: float,
          language: str) -> None:  # fmt: skip
    """The outline of one row: down to its base line beside each shelf."""
    shares = merged.shares[row]
    columns = [*axis.columns, *(shelf for shelf in axis.shelves if shelf.bin != ZEROS_BIN)]
    columns.sort(key=lambda column: column.left)
    x: list[float] = []
    y: list[float] = []
    labels: list[list[str]] = []
    for column in columns:
        share = float(shares[column.bin])
        is_shelf = column.right - column.left > 1
        edges = (column.left, column.left, column.right, column.right) if is_shelf else (column.middle,)
        heights = (0.0, share, share, 0.0) if is_shelf else (share,)
        x.extend(edges)
        y.extend(row + scale * height for height in heights)
        labels.extend([[column.label, share_text(share)]] * len(edges))
    x, y = [x[0], *x, x[-1]], [float(row), *y, float(row)]
    labels = [labels[0], *labels, labels[-1]]
    fields = [(text("figure.distribution.share", language), "%{customdata[1]}")]
    head = f"{text('figure.word.update', language)} {_updates(merged, row)}, %{{customdata[0]}}"
    figure.add_trace(
        go.Scatter(
            x=np.array(x),
            y=np.array(y),
            mode="lines",
            fill="toself",
            fillcolor=faded(BLUE, 0.35),
            line={"color": BLUE, "width": 1.2},
            customdata=np.array(labels, dtype=object),
            hoveron="points",
            hovertemplate=hover(head, fields),
        )
    )


def _zeros(figure: go.Figure, shelf: Column, merged: Distribution, language: str) -> None:
    """Exact zeros as blocks on their shelf, which all elements together would fill from side to side."""
    share = merged.zeros
    figure.add_trace(
        go.Bar(
            x=np.full(len(share), shelf.middle),
            y=np.full(len(share), 0.7),
            base=np.arange(len(share), dtype=np.float64),
            width=(shelf.right - shelf.left) * share,
            marker={"color": NEUTRAL, "line": {"width": 0}},
            customdata=np.array([share_text(float(one)) for one in share], dtype=object),
            text=[_updates(merged, row) for row in range(len(share))],
            textposition="none",
            hovertemplate=hover(
                f"{text('figure.word.update', language)} %{{text}}, {text('figure.distribution.zero', language)}",
                [(text("figure.distribution.share", language), "%{customdata}")],
            ),
        )
    )
