"""Distribution: how many elements of a gradient have which size, and what float16 and bfloat16 would lose."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.distribution import (
    FLOAT16_END,
    FLOAT16_NORMAL,
    FLOAT16_SMALLEST,
    Distribution,
    merge_updates,
)
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.exponent_axis import Column, ExponentAxis, exponent_axis
from gradviz.figures.names import short_name
from gradviz.figures.palette import BLUE, CYAN, NEUTRAL, RED, YELLOW
from gradviz.schema import HUGE_BIN, SUBNORMAL_BIN, TINY_BIN, ZEROS_BIN
from gradviz.texts import text

_KINDS = {"normal": BLUE, "subnormal": CYAN, "lost": YELLOW, "overflow": RED, "zero": NEUTRAL}


def plot_distribution(distribution: Distribution, *, language: str = "en") -> go.Figure:
    """The elements of a gradient by binary exponent: at one update, or of several added up.

    *How to read it*: a healthy gradient is one hill, some ten exponents wide. The dotted lines are limits of
    number formats: what lies left of float16's smallest number is lost in float16, between it and
    float16's normal numbers it is rounded coarsely; a loss scale moves the hill to the right. Exact zeros and
    what is too small for bfloat16 stand on shelves of their own.

    *Requires*: a run recorded with `watch(..., distributions=True)`.
    """
    title = _title(distribution, language)
    together = merge_updates(distribution, rows=1)
    if not together.counts.any():
        return blank(title, "figure.distribution.empty", language)
    figure = sheet(title, limits_sentence(together, language), height=420)
    axis = exponent_axis(together.counts[0])
    shares = together.shares[0]
    for kind, colour in _KINDS.items():
        _bars(figure, axis, together, kind, colour, language)
    axis.lay_out(figure, language)
    rest = float(np.delete(shares, ZEROS_BIN).max())
    top = 1.3 * (rest or float(shares.max()))
    figure.update_layout(bargap=0)
    figure.update_yaxes(title_text=text("figure.distribution.y", language), tickformat=".2~%", range=[0, top])
    if shares[ZEROS_BIN] > top:  # the bar leaves the picture: its height is written on it
        figure.add_annotation(
            x=axis.zeros.middle, y=0.9 * top, showarrow=False, text=share_text(float(shares[ZEROS_BIN]))
        )
    return figure


def _title(distribution: Distribution, language: str) -> str:
    return text(f"figure.distribution.title_{_span(distribution)}", language, **named(distribution, language))


def _span(distribution: Distribution) -> str:
    return {0: "none", 1: "one"}.get(int(distribution.updates.sum()), "many")


def named(distribution: Distribution, language: str) -> dict[str, object]:
    """What a title says: the layer and the updates."""
    model = text("figure.word.model", language)
    layer = model if distribution.layer is None else short_name(distribution.layer)
    if not len(distribution.updates):
        return {"layer": layer}
    first, last = int(distribution.first_update[0]), int(distribution.last_update[-1])
    return {"layer": layer, "first": first, "last": last, "count": int(distribution.updates.sum())}


def limits_sentence(together: Distribution, language: str) -> str:
    """Which share of the elements lies beyond which limit."""
    shares = together.shares[0]
    return text(
        "figure.distribution.sentence",
        language,
        normal=share_text(float(together.below(FLOAT16_NORMAL)[0])),
        lost=share_text(float(together.below(FLOAT16_SMALLEST)[0])),
        bfloat16=share_text(float(shares[SUBNORMAL_BIN])),
        zeros=share_text(float(shares[ZEROS_BIN])),
    )


def share_text(share: float) -> str:
    """A share in percent; one that is small but not nothing is never 0."""
    return "&lt;\u00a00.1\u00a0%" if 0 < share < 0.001 else f"{100 * share:.3g}\u00a0%"


def _kind(column: Column) -> str:
    """What float16 makes of the numbers of a column."""
    if column.bin == ZEROS_BIN:
        return "zero"
    if column.bin in (SUBNORMAL_BIN, TINY_BIN) or column.right <= FLOAT16_SMALLEST:
        return "lost"
    if column.bin == HUGE_BIN or column.left >= FLOAT16_END:
        return "overflow"
    return "subnormal" if column.right <= FLOAT16_NORMAL else "normal"


def _bars(figure: go.Figure, axis: ExponentAxis, together: Distribution, kind: str, colour: str,
          language: str) -> None:  # fmt: skip
    columns = [column for column in (*axis.shelves, *axis.columns) if _kind(column) == kind]
    bins = [column.bin for column in columns]
    if not together.counts[0, bins].any():
        return
    fields = [
        (text("figure.distribution.elements", language), "%{customdata:d}"),
        (text("figure.distribution.share", language), "%{y:.2%}"),
    ]
    figure.add_trace(
        go.Bar(
            x=np.array([column.middle for column in columns]),
            y=together.shares[0, bins],
            width=np.array([0.92 * (column.right - column.left) for column in columns]),
            marker={"color": colour, "line": {"width": 0}},
            text=[column.label for column in columns],
            textposition="none",
            customdata=together.counts[0, bins],
            hovertemplate=hover("%{text}", fields),
            name=text(f"figure.distribution.{kind}", language),
            showlegend=True,
        )
    )
