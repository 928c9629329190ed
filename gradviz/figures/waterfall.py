"""One window as a waterfall: which micro-batch made the update?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.waterfall import Waterfall
from gradviz.figures.canvas import CLEAR, blank, hover, no_hover, sheet
from gradviz.figures.names import short_name
from gradviz.figures.numbers import number, number_format, percent
from gradviz.figures.palette import BLUE, CYAN, NEUTRAL, RED, YELLOW
from gradviz.figures.value_axis import value_axis
from gradviz.schema import Phase
from gradviz.texts import text


def plot_waterfall(waterfall: Waterfall, *, language: str = "en") -> go.Figure:
    """How each micro-batch of one window moved |G_k|, from the reset to what the optimizer consumed.

    *How to read it*: a bar begins where the one before it ended. Blue climbs: the micro-batch pulled along.
    Yellow falls: it pulled against the sum so far. The largest is outlined and carries its share of all
    movement. The last bar is what the optimizer consumed; shorter than the sum means clipping or unscaling.

    *Requires*: the micro-step rows of one window.
    """
    title = _title(waterfall, language)
    if not (waterfall.phase == Phase.MICRO_STEP).any():
        return blank(title, "figure.waterfall.empty", language, update=waterfall.update)
    figure = sheet(title, _sentence(waterfall, language), height=420)
    axis = value_axis(waterfall.after, np.maximum(waterfall.nonfinite, 0), log=False)
    _bars(figure, waterfall, language)
    _clipped(figure, waterfall, language)
    _connectors(figure, waterfall)
    _void(figure, waterfall, axis.nonfinite, language)
    figure.update_layout(showlegend=False, bargap=0.25)
    figure.update_xaxes(
        tickmode="array",
        tickvals=np.arange(len(waterfall.phase)),
        ticktext=_labels(waterfall, language),
        title_text=text("figure.waterfall.x", language),
        showgrid=False,
        range=[-0.6, len(waterfall.phase) - 0.4],
    )
    figure.update_yaxes(title_text=text(f"figure.symbol.{waterfall.statistic}", language), **axis.layout)
    return figure


def _title(waterfall: Waterfall, language: str) -> str:
    model = text("figure.word.model", language)
    name = model if waterfall.layer is None else short_name(waterfall.layer)
    return text("figure.waterfall.title", language, update=waterfall.update, layer=name)


def _sentence(waterfall: Waterfall, language: str) -> str:
    if waterfall.largest < 0:
        return text("figure.waterfall.flat", language)
    return text(
        "figure.waterfall.sentence",
        language,
        micro_step=int(waterfall.micro_step[waterfall.largest]),
        share=percent(waterfall.share),
        count=int((waterfall.phase == Phase.MICRO_STEP).sum()),
    )


def _labels(waterfall: Waterfall, language: str) -> list[str]:
    """Reset, 1 .. n, edit, consumed: thinned where they would touch."""
    every = max(1, -(-len(waterfall.phase) // 24))
    names = {
        Phase.RESET: text("figure.waterfall.start", language),
        Phase.EDIT: text("figure.waterfall.edit", language),
        Phase.UPDATE: text("figure.waterfall.consumed", language),
    }
    return [
        names.get(Phase(int(phase)), str(k) if (k - 1) % every == 0 else "")
        for phase, k in zip(waterfall.phase, waterfall.micro_step, strict=True)
    ]


def _colours(waterfall: Waterfall) -> list[str]:
    colours = []
    for phase, change, after in zip(waterfall.phase, waterfall.change, waterfall.after, strict=True):
        if phase == Phase.RESET:
            colours.append(RED if after != 0 else NEUTRAL)
        elif phase == Phase.UPDATE:
            colours.append(NEUTRAL)
        elif phase == Phase.EDIT:
            colours.append(RED)
        else:
            colours.append(BLUE if change >= 0 else YELLOW)
    return colours


def _bars(figure: go.Figure, waterfall: Waterfall, language: str) -> None:
    whole = (waterfall.phase == Phase.UPDATE) | (waterfall.phase == Phase.RESET)
    base = np.where(whole, 0.0, waterfall.before)
    places = np.arange(len(base))
    flagged = places == waterfall.largest
    form = number_format(waterfall.after)
    fields = [
        (text("figure.waterfall.change", language), f"%{{customdata[0]:{form}}}"),
        (text(f"figure.symbol.{waterfall.statistic}", language), f"%{{customdata[1]:{form}}}"),
        (text(f"figure.symbol.micro_{waterfall.statistic}", language), f"%{{customdata[2]:{form}}}"),
    ]
    if np.isfinite(waterfall.loss).any():
        fields.append(
            (text("figure.word.loss", language), f"%{{customdata[3]:{number_format(waterfall.loss)}}}")
        )
    known = [waterfall.change, waterfall.after, waterfall.micro_value, waterfall.loss]
    figure.add_trace(
        go.Bar(
            x=places,
            y=waterfall.after - base,
            base=base,
            marker={
                "color": _colours(waterfall),
                "opacity": np.where(flagged | whole, 1.0, 0.6),
                "line": {"color": CYAN, "width": np.where(flagged, 3, 0)},
            },
            customdata=np.column_stack(known),
            hovertemplate=hover("%{x}", fields),
        )
    )
    if waterfall.largest >= 0:
        figure.add_annotation(
            x=waterfall.largest,
            y=max(waterfall.after[waterfall.largest], waterfall.before[waterfall.largest]),
            text=f"<b>{percent(waterfall.share)}</b>",
            yshift=12,
            showarrow=False,
        )
    for place in np.flatnonzero(whole & np.isfinite(waterfall.after)):
        height = float(waterfall.after[place])
        inside: dict[str, object] = (
            {"yshift": -12, "font": {"color": "white"}} if height > 0 else {"yshift": 12}
        )
        figure.add_annotation(x=place, y=height, text=number(height), showarrow=False, **inside)


def _clipped(figure: go.Figure, waterfall: Waterfall, language: str) -> None:
    """What clipping or unscaling took away between G_n and the update, as a hatched ghost."""
    rows = np.flatnonzero((waterfall.phase == Phase.UPDATE) & (waterfall.change < -1e-5 * waterfall.before))
    if not len(rows):
        return
    figure.add_trace(
        go.Bar(
            x=rows,
            y=-waterfall.change[rows],
            base=waterfall.after[rows],
            marker={
                "color": CLEAR,
                "line": {"width": 1, "color": NEUTRAL},
                "pattern": {"shape": "/", "fgcolor": NEUTRAL},
            },
            customdata=-waterfall.change[rows] / waterfall.before[rows],
            hovertemplate=text("figure.waterfall.removed", language) + ": %{customdata:.0%}<extra></extra>",
        )
    )


def _connectors(figure: go.Figure, waterfall: Waterfall) -> None:
    """Thin lines that carry the height of one bar to the next."""
    ends = waterfall.after[:-1]
    places = np.arange(len(ends), dtype=np.float64)
    figure.add_trace(
        go.Scatter(
            x=np.stack([places + 0.4, places + 0.6, np.full(len(ends), np.nan)], axis=1).ravel(),
            y=np.stack([ends, ends, np.full(len(ends), np.nan)], axis=1).ravel(),
            mode="lines",
            line={"color": NEUTRAL, "width": 1, "dash": "dot"},
            **no_hover(),
        )
    )


def _void(figure: go.Figure, waterfall: Waterfall, height: float, language: str) -> None:
    rows = np.flatnonzero(waterfall.nonfinite > 0)
    if len(rows):
        figure.add_trace(
            go.Scatter(
                x=rows,
                y=np.full(len(rows), height),
                mode="markers",
                marker={"symbol": "x-thin", "size": 12, "line": {"width": 3, "color": RED}},
                customdata=waterfall.nonfinite[rows],
                hovertemplate=text("figure.mark.nonfinite", language) + ": %{customdata}<extra></extra>",
            )
        )
