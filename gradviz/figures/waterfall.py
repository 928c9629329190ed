"""One window as a waterfall: which micro-batch made the update?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.waterfall import Waterfall
from gradviz.figures.canvas import CLEAR, blank, no_hover, sheet
from gradviz.figures.names import short_name
from gradviz.figures.numbers import number, percent
from gradviz.figures.palette import BLUE, CYAN, NEUTRAL, RED, YELLOW
from gradviz.figures.value_axis import Floats, value_axis
from gradviz.schema import Phase
from gradviz.texts import joined, text

STANDS_OUT = 1.5  # times an even share
MULTIPLE = 2.0  # times the update: from here on a share is said as a multiple
LEFTOVER = 0.005  # of an update: less of it is rounding
CANCELLED = 1.0  # more than all of an update: others took part of it back
SAID = 6  # numbers that the sentence names; the hover has all


def plot_waterfall(waterfall: Waterfall, *, language: str = "en") -> go.Figure:
    """How each micro-batch of one window moved |G_k|, from the reset to what the optimizer consumed.

    *How to read it*: a bar begins where the one before it ended. Blue climbs: the micro-batch pulled along.
    Yellow falls: it pulled against the sum so far. The micro-step that made most of the update is outlined, with its
    share of the direction that the window took; shares add up to 100 %, and one that pulled back has a negative
    one. The last bar is what the optimizer consumed; shorter than the sum means clipping or unscaling.

    *Requires*: the micro-step rows of one window. Shares need the cosines of its micro-gradients; without them the
    outlined micro-step is the one that moved the sum most, with its part of all the movement.
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
        broken = bool((waterfall.nonfinite > 0).any())
        return text("figure.waterfall.broken" if broken else "figure.waterfall.flat", language)
    count = int((waterfall.phase == Phase.MICRO_STEP).sum())
    words: dict[str, object] = {
        "micro_step": int(waterfall.micro_step[waterfall.largest]),
        "share": _share(waterfall.share),
        "count": count,
        "even": percent(1 / count),
    }
    if not waterfall.has_shares:
        sentence = text("figure.waterfall.sentence", language, **words)
        return joined([sentence, *_logged(waterfall, language)], language)
    stands_out = waterfall.share >= STANDS_OUT / count
    cancelled = waterfall.share > CANCELLED + LEFTOVER
    key = "only" if count == 1 else "cancelled" if cancelled else "made" if stands_out else "even"
    sentences = [text(f"figure.waterfall.{key}", language, **words)]
    if waterfall.leftover > LEFTOVER:
        share = percent(waterfall.leftover)
        older = text("figure.waterfall.leftover", language, share=share)
        sentences = [older] if count == 1 else [older, *sentences]
    return joined([*sentences, *_logged(waterfall, language)], language)


def _logged(waterfall: Waterfall, language: str) -> list[str]:
    """What was logged with the micro-step that is named."""
    known = [
        f"{label} {number(float(values[waterfall.largest]))}"
        for label, values in _numbers(waterfall, language)[:SAID]
        if np.isfinite(values[waterfall.largest])
    ]
    comma = text("figure.word.comma", language)
    return [text("figure.waterfall.logged", language, what=comma.join(known))] if known else []


def _numbers(waterfall: Waterfall, language: str) -> list[tuple[str, Floats]]:
    """The loss and what else was logged, with their labels."""
    own = [(short_name(name), values) for name, values in waterfall.logged.items()]
    return [(text("figure.word.loss", language), waterfall.loss), *own]


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
            hovertext=_told(waterfall, language),
            hovertemplate="<b>%{x}</b><br>%{hovertext}<extra></extra>",
        )
    )
    if waterfall.largest >= 0:
        figure.add_annotation(
            x=waterfall.largest,
            y=max(waterfall.after[waterfall.largest], waterfall.before[waterfall.largest]),
            text=f"<b>{_share(waterfall.share)}</b>",
            yshift=12,
            showarrow=False,
        )
    for place in np.flatnonzero(whole & np.isfinite(waterfall.after)):
        height = float(waterfall.after[place])
        figure.add_annotation(x=place, y=height, text=number(height), showarrow=False, yshift=12)


def _share(share: float) -> str:
    """A share of what nearly cancelled is a multiple: 12 times, not 1200 %."""
    return percent(share) if abs(share) < MULTIPLE else f"×{number(float(f'{share:.2g}'))}"


def _told(waterfall: Waterfall, language: str) -> list[str]:
    """Everything that is known of each moment, and nothing that is not."""
    fields = [
        (text("figure.waterfall.change", language), waterfall.change, number),
        (text(f"figure.symbol.{waterfall.statistic}", language), waterfall.after, number),
        (text(f"figure.symbol.micro_{waterfall.statistic}", language), waterfall.micro_value, number),
        (text("figure.waterfall.share", language), waterfall.shares, _share),
        *((label, values, number) for label, values in _numbers(waterfall, language)),
    ]
    return [
        "<br>".join(
            f"{label}: {shown(float(values[place]))}"
            for label, values, shown in fields
            if np.isfinite(values[place])
        )
        for place in range(len(waterfall.phase))
    ]


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
