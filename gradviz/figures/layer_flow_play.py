"""Gradient flow as a film: the same layers on the same axis, moment after moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.layer_facts import LayerFacts
from gradviz.analysis.layer_flow import LayerFlow
from gradviz.figures.canvas import CLEAR, blank, sheet
from gradviz.figures.layer_card import layer_card, lines_of
from gradviz.figures.layer_flow import moment_of, pen_of
from gradviz.figures.layer_flow_pen import LayerPen, heights_of
from gradviz.figures.palette import NEUTRAL
from gradviz.texts import text

Moment = tuple[LayerFlow, LayerFacts | None]
_PAUSE_MS, _MOVE_MS = 700, 400  # a moment stands, and the way to the next one
_SMOOTH = 200  # layers; more and a moment follows the other at once
_CONTROLS = 128  # pixels above the picture
_PLACE: dict[str, Any] = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
_BUTTONS = _PLACE | {
    "type": "buttons",
    "direction": "left",
    "showactive": False,
    "pad": {"b": 74},  # above the slider: beside it there is no room in a narrow window
    "bgcolor": CLEAR,
    "bordercolor": NEUTRAL,
    "font": {"color": NEUTRAL, "size": 14},
}
_SLIDER = _PLACE | {
    "len": 1,
    "pad": {"b": 12, "t": 0},
    "currentvalue": {"font": {"size": 15, "color": NEUTRAL}, "offset": 6},
    "font": {"size": 1, "color": CLEAR},  # the name of the moment stands above: no room for all
    "ticklen": 3,
    "tickcolor": NEUTRAL,
    "bordercolor": NEUTRAL,
    "bgcolor": "rgba(136,136,136,0.25)",
    "activebgcolor": NEUTRAL,
}


def plot_layer_flow_play(
    moments: Sequence[Moment], *, start: int = 0, log: bool = True, language: str = "en"
) -> go.Figure:
    """Every layer at moment after moment, with a button that plays them and a slider that goes to one.

    It stands at moment `start` until it is played, and stops at the last one.

    *How to read it*: as `plot_layer_flow`. The axis holds all moments and does not move, so that a gradient that
    grows from micro-step to micro-step, and falls at the reset, is seen to do so.

    *Requires*: the rows of several events of one run, with the same layers.
    """
    shown = [(flow, facts) for flow, facts in moments if flow.recorded.any()]
    if len(shown) < 2:
        return blank(text("figure.layer_flow.title_now", language), "figure.layer_flow_play.empty", language)
    pen = pen_of([flow for flow, _ in shown], log=log, language=language)
    lines = lines_of(shown)
    films = [
        (flow, pen.traces(flow, layer_card(flow, facts, language=language, lines=lines)))
        for flow, facts in shown
    ]
    start = min(sum(bool(flow.recorded.any()) for flow, _ in moments[: max(start, 0)]), len(films) - 1)
    sentence = text("figure.layer_flow_play.sentence", language, count=len(films))
    figure = sheet(_title(films, language), sentence, height=pen.height + _CONTROLS)
    used = [_is_used([traces[place] for _, traces in films], pen) for place in range(len(films[0][1]))]
    figure.add_traces(_only(films[start][1], used))
    figure.frames = [
        go.Frame(
            name=str(number),
            data=[_moving(trace, pen) for trace in _only(traces, used)],
            traces=list(range(sum(used))),
        )
        for number, (_, traces) in enumerate(films)
    ]
    pen.lay_out(figure, text(f"figure.statistic.{shown[0][0].statistic}", language))
    _add_controls(figure, [moment_of(flow, language) for flow, _ in films], start, len(pen.layers))
    return figure


def _title(films: Sequence[tuple[LayerFlow, object]], language: str) -> str:
    first, last = (moment_of(flow, language) for flow, _ in (films[0], films[-1]))
    return text("figure.layer_flow_play.title", language, first=first, last=last)


def _is_used(traces: Sequence[go.Scatter], pen: LayerPen) -> bool:
    """Whether a series has anything to show at any moment; one that has not is left out of all."""
    return any(np.isfinite(heights_of(trace, horizontal=pen.horizontal)).any() for trace in traces)


def _only(traces: Sequence[go.Scatter], used: Sequence[bool]) -> list[go.Scatter]:
    return [trace for trace, is_used in zip(traces, used, strict=True) if is_used]


def _moving(trace: go.Scatter, pen: LayerPen) -> go.Scatter:
    """Of a trace, what differs from moment to moment: what the reader did to the rest of it stays."""
    heights = heights_of(trace, horizontal=pen.horizontal)
    moving: dict[str, Any] = {"x": heights} if pen.horizontal else {"y": heights}
    if trace.customdata is not None:
        moving["customdata"] = trace.customdata
    return go.Scatter(**moving)


def _add_controls(figure: go.Figure, labels: Sequence[str], start: int, layers: int) -> None:
    """Above the picture: play, pause, and a slider under the name of the moment."""
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    onwards = {
        "mode": "immediate",
        "fromcurrent": True,
        "frame": {"duration": _PAUSE_MS, "redraw": False},
        "transition": {"duration": _MOVE_MS if layers <= _SMOOTH else 0, "easing": "cubic-in-out"},
    }
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, onwards]},
        {"label": "❚❚", "method": "animate", "args": [[None], at_once]},
    ]
    steps = [
        {"label": label, "method": "animate", "args": [[str(number)], at_once]}
        for number, label in enumerate(labels)
    ]
    figure.update_layout(
        margin={"t": figure.layout.margin.t + _CONTROLS},
        updatemenus=[_BUTTONS | {"buttons": buttons}],
        sliders=[_SLIDER | {"active": start, "steps": steps}],
    )
