"""Coherence and gradient noise scale over a training, each with its band."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.noise_over_time import NoiseOverTime
from gradviz.figures.canvas import blank, no_hover, sheet
from gradviz.figures.names import short_name
from gradviz.figures.numbers import number
from gradviz.figures.palette import BLUE, GRID, NEUTRAL, PURPLE, faded
from gradviz.figures.value_axis import Floats, value_axis
from gradviz.texts import joined, text

LINES = 40  # points that may each have a marker


def plot_noise_over_time(record: NoiseOverTime, *, language: str = "en") -> go.Figure:
    """Above: how much of the micro-gradients survives their sum. Below: the gradient noise scale.

    *How to read it*: coherence 1 means that all micro-batches of a window point the same way; on the dotted line they
    are pure noise; the band holds 80 % of the windows. The noise scale is the number of samples at which signal and
    noise are equal: while it lies above the dashed line, a window's size, averaging more still pays; below it, the
    window could be shorter. Its band is the 95 % interval; without an upper end, the windows do not bound it.

    *Requires*: eight windows of two micro-steps or more, with micro-gradients, reset before and unchanged inside, of
    one rank. Samples that were logged (else the elements of the loss) make it a number of samples.
    """
    model = text("figure.word.model", language)
    name = model if record.layer is None else short_name(record.layer)
    title = text("figure.noise_over_time.title", language, layer=name)
    if record.reason:
        key = f"figure.noise_over_time.empty_{record.reason}"
        return blank(title, key, language, used=record.used, read=record.read)
    figure = sheet(title, _sentence(record, language), height=520)
    x = (record.first + record.last) / 2
    hovers = _hovers(record, language)
    _band(figure, x, record.coherence_low, record.coherence_high, BLUE, ("coherence_band", "y"), language)
    _line(figure, x, record.floor, _look(NEUTRAL, 1.5, "dot"), ("floor", "y"), None, language)
    _line(figure, x, record.coherence, _look(BLUE, 2.5), ("coherence", "y"), hovers, language)
    _noise(figure, x, record, hovers, language)
    figure.update_layout(
        yaxis={
            "domain": [0.56, 1.0],
            "title": {"text": text("figure.noise_over_time.y_coherence", language)},
            "range": [0, 1.04],
            "nticks": 5,
        },
        xaxis={"anchor": "y2", "title": {"text": text("figure.noise_over_time.x", language)}},
    )
    return figure


def _sentence(record: NoiseOverTime, language: str) -> str:
    noise, low, high = (float(values[-1]) for values in (record.noise, record.noise_low, record.noise_high))
    words = {
        "noise": number(noise),
        "low": number(low),
        "high": number(high),
        "window": number(record.window),
    }
    sentences = [
        text(
            f"figure.noise_over_time.{_verdict(record, low, high)}",
            language,
            unit=_unit(record, language),
            **words,
        )
    ]
    if record.unit == "micro-batches":
        sentences.append(text("figure.noise_over_time.no_samples", language))
    counts = {"width": record.width, "used": record.used, "read": record.read, "total": record.total}
    key = "counted" if record.read == record.total else "spread"
    return joined([*sentences, text(f"figure.noise_over_time.{key}", language, **counts)], language)


def _verdict(record: NoiseOverTime, low: float, high: float) -> str:
    if not np.isfinite(high):
        return "open" if low > 0 else "unresolved"
    if low > record.window:
        return "below"
    return "above" if high < record.window else "near"


def _unit(record: NoiseOverTime, language: str) -> str:
    return text(f"figure.noise_over_time.unit_{record.unit}", language)


def _look(colour: str, width: float, dash: str = "solid") -> dict[str, object]:
    return {"color": colour, "width": width, "dash": dash}


def _hovers(record: NoiseOverTime, language: str) -> list[str]:
    """Everything that is known of each stretch."""
    coherence, noise = (text(f"figure.noise_over_time.{key}", language) for key in ("coherence", "noise"))
    told = []
    for place in range(len(record.first)):
        stretch = {"first": int(record.first[place]), "last": int(record.last[place])}
        words = [
            f"<b>{text('figure.noise_over_time.stretch', language, **stretch)}</b>",
            f"{coherence} {_number(record.coherence[place])} "
            f"({_number(record.coherence_low[place])} – {_number(record.coherence_high[place])})",
            f"{noise} {_number(record.noise[place])} "
            f"({_number(record.noise_low[place])} – {_number(record.noise_high[place])})",
        ]
        told.append("<br>".join(words))
    return told


def _number(value: float) -> str:
    return "∞" if np.isposinf(value) else number(float(value))


def _noise(figure: go.Figure, x: Floats, record: NoiseOverTime, hovers: list[str], language: str) -> None:
    """On a log axis; a band without an upper end reaches up to the top."""
    sizes = np.array([record.window, record.micro_batch])
    known = np.concatenate([record.noise, record.noise_low, record.noise_high, sizes])
    known = known[np.isfinite(known) & (known > 0)]
    axis = value_axis(known, np.zeros(len(known), dtype=np.int64), log=True)
    low = np.clip(np.nan_to_num(record.noise_low, nan=axis.low), axis.low, axis.high)
    high = np.clip(np.nan_to_num(record.noise_high, nan=axis.high, posinf=axis.high), axis.low, axis.high)
    _band(figure, x, low, high, PURPLE, ("noise_band", "y2"), language)
    resolved = np.isfinite(record.noise) & (record.noise > 0)
    _line(
        figure,
        x,
        np.where(resolved, record.noise, np.nan),
        _look(PURPLE, 2.5),
        ("noise", "y2"),
        hovers,
        language,
    )
    if not resolved.all():
        figure.add_trace(
            go.Scatter(
                x=x[~resolved],
                y=low[~resolved],
                yaxis="y2",
                mode="markers",
                marker={"symbol": "triangle-up-open", "size": 8, "color": PURPLE},
                hovertext=[hovers[place] for place in np.flatnonzero(~resolved)],
                hovertemplate="%{hovertext}<extra></extra>",
                name=text("figure.noise_over_time.at_least", language),
            )
        )
    size = f"{number(record.window)} {_unit(record, language)}"
    figure.add_hline(
        record.window,
        yref="y2",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        name=text(
            "figure.noise_over_time.size", language, size=size
        ),  # a note beside it would lie on the curve
        showlegend=True,
    )
    look = {"anchor": "x", "gridcolor": GRID, "zeroline": False, "showline": False, "ticks": ""}
    title = text("figure.noise_over_time.y_noise", language, unit=_unit(record, language))
    figure.update_layout(yaxis2={"domain": [0.0, 0.46], "title": {"text": title}} | look | axis.layout)


def _band(
    figure: go.Figure, x: Floats, low: Floats, high: Floats, colour: str, key: tuple[str, str], language: str
) -> None:
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            yaxis=key[1],
            fill="toself",
            fillcolor=faded(colour, 0.18),
            mode="none",
            name=text(f"figure.noise_over_time.{key[0]}", language),
            **(no_hover() | {"showlegend": True}),
        )
    )


def _line(
    figure: go.Figure,
    x: Floats,
    y: Floats,
    look: dict[str, object],
    key: tuple[str, str],
    hovers: list[str] | None,
    language: str,
) -> None:
    told = (
        {"hoverinfo": "skip"}
        if hovers is None
        else {"hovertext": hovers, "hovertemplate": "%{hovertext}<extra></extra>"}
    )
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            yaxis=key[1],
            mode="lines+markers" if len(x) <= LINES and hovers is not None else "lines",
            line=look,
            marker={"size": 6},
            name=text(f"figure.noise_over_time.{key[0]}", language),
            **told,
        )
    )
