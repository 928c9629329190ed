"""The toy's two weights on their way over the loss: where a wrong loop goes instead."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.toy_path import ToyPath
from gradviz.figures.canvas import USUAL_BELOW, hover, no_hover, sheet
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, GREEN, NEUTRAL, RED, YELLOW, faded
from gradviz.figures.value_axis import Floats, value_axis
from gradviz.texts import text

COINCIDE = 1e-9
_LEVELS = 14
_LARGE_BATCH = {"color": YELLOW, "width": 7}  # wide, so that a path on top of it shows both


def plot_toy_path(toy_path: ToyPath, *, language: str = "en") -> go.Figure:
    """The path of two weights over the contours of the loss, of the loop and of one large batch a window.

    *How to read it*: each dot is an update. The thin line is the loop, the wide one the large batch: where the
    loop is right they lie on each other. A step twice as long jumps over the valley; gradients that are kept
    make the path circle; a wrong weighting leads to another minimum (the red cross).

    *Requires*: a toy, which always has updates.
    """
    figure = sheet(text("figure.toy_path.title", language), _sentence(toy_path, language), height=460)
    _contours(figure, toy_path)
    large = text("figure.toy.large_batch", language)
    figure.add_trace(
        go.Scatter(
            x=toy_path.reference[:, 0],
            y=toy_path.reference[:, 1],
            mode="lines",
            line=_LARGE_BATCH,
            opacity=0.75,
            name=large,
            customdata=_fields(toy_path.reference_loss),
            hovertemplate=_hover(large, language),
        )
    )
    loop = text("figure.toy.loop", language)
    figure.add_trace(
        go.Scatter(
            x=toy_path.weights[:, 0],
            y=toy_path.weights[:, 1],
            mode="lines+markers",
            line={"color": BLUE, "width": 2},
            marker={"size": 7},
            name=loop,
            customdata=_fields(toy_path.loss),
            hovertemplate=_hover(loop, language),
        )
    )
    _places(figure, toy_path, language)
    figure.update_layout(showlegend=True, margin={"b": USUAL_BELOW})
    first, second = toy_path.first, toy_path.second
    figure.update_xaxes(title_text="w<sub>1</sub>", range=[first[0], first[-1]], showgrid=False)
    figure.update_yaxes(title_text="w<sub>2</sub>", range=[second[0], second[-1]], showgrid=False)
    return figure


def plot_toy_loss(toy_path: ToyPath, *, language: str = "en") -> go.Figure:
    """The loss over all rows, update by update, of the loop and of one large batch a window; log axis.

    *How to read it*: where the loop is right, both lines are one. The dotted line is the least loss that these
    weights can have: noise of the labels that nobody can learn.

    *Requires*: a toy, which always has updates.
    """
    key = "same" if toy_path.gap <= COINCIDE else "apart"
    ends = {"loss": number(float(toy_path.loss[-1])), "reference": number(float(toy_path.reference_loss[-1]))}
    sentence = text(f"figure.toy_loss.{key}", language, **ends)
    figure = sheet(text("figure.toy_loss.title", language), sentence, height=460)
    update = np.arange(len(toy_path.loss))
    large, loop = text("figure.toy.large_batch", language), text("figure.toy.loop", language)
    for values, name, line, mode in (
        (toy_path.reference_loss, large, _LARGE_BATCH, "lines"),
        (toy_path.loss, loop, {"color": BLUE, "width": 2}, "lines+markers"),
    ):
        figure.add_trace(
            go.Scatter(
                x=update,
                y=values,
                mode=mode,
                line=line,
                opacity=0.75 if name == large else 1.0,
                name=name,
                customdata=_fields(values),
                hovertemplate=_hover(name, language),
            )
        )
    if toy_path.least > 0:
        figure.add_hline(toy_path.least, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    figure.update_layout(showlegend=True, margin={"b": USUAL_BELOW})
    figure.update_xaxes(title_text=text("figure.toy_loss.x", language), dtick=5)
    losses = np.concatenate([toy_path.loss, toy_path.reference_loss, [toy_path.least]])
    axis = value_axis(losses, np.zeros(len(losses), dtype=np.int64), log=True)
    figure.update_yaxes(axis.layout | {"title": {"text": text("figure.word.loss", language)}})
    return figure


def _sentence(toy_path: ToyPath, language: str) -> str:
    if toy_path.gap <= COINCIDE:
        return text("figure.toy_path.same", language)
    key = "leaves" if toy_path.leaves else "apart"
    return text(f"figure.toy_path.{key}", language, distance=number(toy_path.gap))


def _contours(figure: go.Figure, toy_path: ToyPath) -> None:
    top = float(toy_path.height.max())
    figure.add_trace(
        go.Contour(
            x=toy_path.first,
            y=toy_path.second,
            z=toy_path.height.astype(np.float32),
            contours={"coloring": "lines", "start": 0, "end": top, "size": top / _LEVELS},
            colorscale=[[0, faded(NEUTRAL, 0.75)], [1, faded(NEUTRAL, 0.3)]],
            line={"width": 1},
            showscale=False,
            **no_hover(),
        )
    )


def _places(figure: go.Figure, toy_path: ToyPath, language: str) -> None:
    """Start and minimum; where the loop's own weighting leads, if it is elsewhere."""
    places = [
        ("start", toy_path.reference[0], {"symbol": "circle-open", "size": 14, "color": NEUTRAL}),
        ("minimum", toy_path.minimum, {"symbol": "star", "size": 15, "color": GREEN}),
    ]
    if float(np.linalg.norm(toy_path.aim - toy_path.minimum)) > COINCIDE:
        places.append(("aim", toy_path.aim, {"symbol": "x", "size": 12, "color": RED}))
    for key, place, marker in places:
        name = text(f"figure.toy_path.{key}", language)
        figure.add_trace(
            go.Scatter(
                x=place[:1],
                y=place[1:],
                mode="markers",
                marker=marker | {"line": {"width": 2}} if key == "start" else marker,
                name=name,
                hovertemplate=hover(name, [("w<sub>1</sub>", "%{x:.3f}"), ("w<sub>2</sub>", "%{y:.3f}")]),
            )
        )


def _fields(loss: Floats) -> Floats:
    return np.column_stack([np.arange(len(loss)), loss])


def _hover(name: str, language: str) -> str:
    fields = [
        (text("figure.toy.after", language), "%{customdata[0]:d}"),
        (text("figure.word.loss", language), "%{customdata[1]:.4g}"),
    ]
    return hover(name, fields)
