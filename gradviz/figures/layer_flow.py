"""Gradient flow: all layers in forward order at one moment; which starve, which explode?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.layer_facts import LayerFacts
from gradviz.analysis.layer_flow import LayerFlow
from gradviz.figures.canvas import blank, sheet
from gradviz.figures.layer_card import layer_card
from gradviz.figures.layer_flow_pen import LayerPen, heights_of
from gradviz.figures.value_axis import ValueAxis, value_axis
from gradviz.texts import text

Orientation = Literal["auto", "vertical", "horizontal"]
ROWS = 60  # layers that still fit as rows

LEGEND = 28  # pixels of one line of it


def plot_layer_flow(
    flow: LayerFlow,
    *,
    log: bool = True,
    orientation: Orientation = "auto",
    facts: LayerFacts | None = None,
    among: Sequence[LayerFlow] = (),
    language: str = "en",
) -> go.Figure:
    """Every layer at one event: the accumulated gradient (line), this micro-batch's own, and the maximum.

    With `facts` the hover tells everything that is known of a layer. `among` are other moments, whose values the
    axis holds too: pictures of several moments can then be compared by eye.

    *How to read it*: input side left (or top), output side right (or bottom). A line that dives over decades
    towards the input vanishes; one that climbs explodes; a layer far under its neighbours starves. `0`,
    `None` and `NaN·Inf` have lines of their own and cannot be mistaken for small numbers.

    *Requires*: the rows of one event. Micro-gradients exist at micro-steps only.
    """
    title = title_of(flow, language)
    if not flow.recorded.any():
        return blank(title, "figure.layer_flow.empty", language)
    pen = pen_of([flow, *among], log=log, orientation=orientation, language=language)
    figure = sheet(title, sentence_of(flow, language), height=pen.height)
    for trace in pen.traces(flow, layer_card(flow, facts, language=language)):
        if np.isfinite(heights_of(trace, horizontal=pen.horizontal)).any():
            figure.add_trace(trace)
    pen.lay_out(figure, text(f"figure.statistic.{flow.statistic}", language))
    if pen.horizontal:  # taller than a screen: what the marks mean has to stand above them
        above = {"yref": "paper", "y": 1, "yanchor": "bottom"}
        figure.update_layout(legend=above, margin_t=figure.layout.margin.t + LEGEND)
    return figure


def pen_of(
    flows: Sequence[LayerFlow], *, log: bool, orientation: Orientation = "auto", language: str
) -> LayerPen:
    """A pen for all of these moments together."""
    horizontal = fits_rows(flows[0].layers) if orientation == "auto" else orientation == "horizontal"
    return LayerPen(axis_of(flows, log, language), flows[0].layers, horizontal, language)


def axis_of(flows: Sequence[LayerFlow], log: bool, language: str) -> ValueAxis:
    """The axis that holds every value of these moments."""
    values, nonfinite = [], []
    for flow in flows:
        micro = np.where(np.isnan(flow.micro) & (flow.micro_nonfinite < 0), 0, flow.micro_nonfinite)
        own = np.where(flow.recorded, flow.nonfinite, 0)
        values += [flow.accumulated, flow.micro, flow.maximum]
        nonfinite += [own, micro, np.zeros_like(own)]
    return value_axis(np.concatenate(values), np.concatenate(nonfinite), log=log, language=language)


def title_of(flow: LayerFlow, language: str) -> str:
    """Which moment it is."""
    if not flow.phase:
        return text("figure.layer_flow.title_now", language)
    return text("figure.layer_flow.title", language, moment=moment_of(flow, language))


def moment_of(flow: LayerFlow, language: str) -> str:
    """The moment in words: update 3, micro-step 2."""
    return text(f"figure.moment.{flow.phase}", language, update=flow.update, micro_step=flow.micro_step)


def sentence_of(flow: LayerFlow, language: str) -> str:
    """How many layers there are, how many of them are no ordinary number, and how far they lie apart."""
    present = flow.recorded & (flow.nonfinite == 0)
    counts = {
        "nonfinite": int((flow.nonfinite > 0).sum()),
        "none": int((flow.recorded & (flow.nonfinite < 0)).sum()),
        "zero": int((present & (flow.accumulated == 0)).sum()),
        "absent": int((~flow.recorded).sum()),
    }
    parts = [text("figure.layer_flow.layers", language, count=len(flow.layers))]
    parts += [
        text(f"figure.layer_flow.{key}", language, count=count) for key, count in counts.items() if count
    ]
    positive = flow.accumulated[present & (flow.accumulated > 0)]
    if len(positive) > 1 and positive.max() > 3 * positive.min():
        decades = f"{np.log10(positive.max() / positive.min()):.1f}"
        parts.append(text("figure.layer_flow.decades", language, decades=decades))
    return text("figure.word.comma", language).join(parts) + text("figure.word.stop", language)


def fits_rows(layers: Sequence[str]) -> bool:
    """Rows read better than slanted names, as long as they fit."""
    return len(layers) <= ROWS and max(len(name) for name in layers) > 12
