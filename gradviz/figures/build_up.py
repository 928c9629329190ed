"""The build-up: is accumulating adding signal, or only noise?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.build_up import ALIGNED_ABOVE, CONFLICTING_BELOW, HIGH, LOW, NOISY_BELOW, BuildUp
from gradviz.figures.canvas import blank, hover, no_hover, sheet
from gradviz.figures.names import short_name
from gradviz.figures.palette import BLUE, CYAN, GREEN, NEUTRAL, RED, YELLOW, faded
from gradviz.figures.value_axis import Floats, Integers
from gradviz.texts import joined, text

_REGIONS = (("aligned", CYAN), ("healthy", GREEN), ("noisy", YELLOW), ("conflicting", RED))
_FAULTS = ("not_reset", "edited", "nonfinite", "incomplete")


def plot_build_up(build_up: BuildUp, *, language: str = "en") -> go.Figure:
    """||G_k|| / rms ||g|| over the micro-steps of a window: median over windows, with a band.

    *How to read it*: if all micro-batches agree the line follows k; if they are pure noise it follows the
    root of k. Between the two is where accumulation earns its cost. Under the root of k they undo each
    other. The region in which the line ends is written bold.

    *Requires*: windows of at least two micro-steps with micro-gradients, reset before they began, and not
    changed inside; the sentence says how many counted and why others did not.
    """
    title = _title(build_up, language)
    if not build_up.used:
        key = max(_FAULTS, key=lambda fault: int(getattr(build_up, fault))) if build_up.total else "nothing"
        return blank(title, f"figure.build_up.empty_{key}", language, total=build_up.total)
    if len(build_up.k) < 2:
        return blank(title, "figure.build_up.empty_single", language, total=build_up.total)
    figure = sheet(title, _sentence(build_up, language), height=460)
    _regions(figure, build_up, language)
    _references(figure, build_up.k, language)
    _band(figure, build_up, language)
    n, top = int(build_up.k[-1]), float(max(build_up.k[-1], build_up.high.max()))
    figure.update_layout(margin={"r": 120}, showlegend=False)
    figure.update_xaxes(
        title_text=text("figure.build_up.x", language),
        range=[0.9, n + 0.02 * n],
        dtick=max(1, n // 8),
        tick0=1,
    )
    figure.update_yaxes(title_text=text("figure.build_up.y", language), range=[0, 1.04 * top])
    return figure


def _title(build_up: BuildUp, language: str) -> str:
    model = text("figure.word.model", language)
    name = model if build_up.layer is None else short_name(build_up.layer)
    return text("figure.build_up.title", language, layer=name)


def _sentence(build_up: BuildUp, language: str) -> str:
    n, used, total = int(build_up.k[-1]), build_up.used, build_up.total
    sentences = [
        text(f"figure.build_up.{build_up.region or 'few'}_sentence", language),
        text("figure.build_up.counted", language, n=n, used=used, total=total),
    ]
    left_out = [
        text(f"figure.build_up.{fault}", language, count=getattr(build_up, fault))
        for fault in _FAULTS
        if getattr(build_up, fault)
    ]
    if left_out:
        reasons = text("figure.word.comma", language).join(left_out)
        sentences.append(text("figure.build_up.left_out", language, reasons=reasons))
    return joined(sentences, language)


def _bounds(k: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Lower and upper edge of each region over k; P/Q is the square of the ratio over k."""
    root = np.sqrt(k)
    aligned = np.sqrt(k * (1 + (k - 1) * ALIGNED_ABOVE))
    noisy = np.minimum(np.sqrt(NOISY_BELOW) * root, aligned)
    conflicting = np.sqrt(CONFLICTING_BELOW) * root
    return {
        "aligned": (aligned, k),
        "healthy": (noisy, aligned),
        "noisy": (conflicting, noisy),
        "conflicting": (np.zeros(len(k)), conflicting),
    }


def _regions(figure: go.Figure, build_up: BuildUp, language: str) -> None:
    """Each region as a tint, its name at its right end."""
    n = float(build_up.k[-1])
    k = np.linspace(1.0, n, 60)
    bounds = _bounds(k)
    for name, colour in _REGIONS:
        low, high = bounds[name]
        here = name == build_up.region
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([k, k[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                fillcolor=faded(colour, 0.20 if here else 0.07),
                mode="none",
                **no_hover(),
            )
        )
        label = text(f"figure.build_up.{name}", language)
        figure.add_annotation(
            text=f"<b>{label}</b>" if here else label,
            x=n,
            y=(low[-1] + high[-1]) / 2,
            xanchor="left",
            xshift=10,
            showarrow=False,
            font={"size": 14 if here else 12} | ({} if here else {"color": NEUTRAL}),
        )


def _references(figure: go.Figure, k: Integers, language: str) -> None:
    fine = np.linspace(1.0, float(k[-1]), 60)
    for key, values, dash in (("line_k", fine, "dash"), ("line_root", np.sqrt(fine), "dot")):
        figure.add_trace(
            go.Scatter(
                x=fine,
                y=values,
                mode="lines",
                line={"color": NEUTRAL, "width": 1.5, "dash": dash},
                name=text(f"figure.build_up.{key}", language),
                hovertemplate=text(f"figure.build_up.{key}", language) + "<extra></extra>",
            )
        )


def _band(figure: go.Figure, build_up: BuildUp, language: str) -> None:
    k = build_up.k
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([k, k[::-1]]),
            y=np.concatenate([build_up.high, build_up.low[::-1]]),
            fill="toself",
            fillcolor=faded(BLUE, 0.22),
            mode="none",
            **no_hover(),
        )
    )
    fields = [
        (text("figure.word.micro_step", language), "%{x}"),
        (text("figure.word.median", language), "%{y:.3f}"),
        (
            text("figure.build_up.band", language, low=f"{LOW:.0%}", high=f"{HIGH:.0%}"),
            "%{customdata[0]:.3f} – %{customdata[1]:.3f}",
        ),
        (text("figure.word.windows", language), "%{customdata[2]:d}"),
    ]
    figure.add_trace(
        go.Scatter(
            x=k,
            y=build_up.median,
            mode="lines+markers",
            line={"color": BLUE, "width": 3},
            marker={"size": 8 if len(k) <= 16 else 4},
            customdata=np.column_stack([build_up.low, build_up.high, build_up.windows]),
            hovertemplate=hover("||G<sub>k</sub>|| / rms ||g||", fields),
            name=text("figure.word.median", language),
        )
    )
