"""A few teeth of a sawtooth as a picture of 200 x 36 points: crisp, and red where a reset did not happen.

Streamlit's line-chart column draws smooth curves, which is the one thing that a sawtooth must not be.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import TypeGuard

import streamlit as st

from gradviz.store import Run

WINDOWS = 8
WIDTH, HEIGHT, MARGIN = 200, 36, 3
# Mid tones (Paul Tol's blue and red), legible on the light and on the dark background.
LINE, STALE, AXIS = "#4f8fcf", "#e0566b", "#8a939c"

Value = float | None


def sparkline(run: Run, stamp: int) -> str:
    """The last windows of the first layer as a `data:` image; empty while there is nothing to draw."""
    return _sparkline(stamp, run)


@st.cache_data(max_entries=2000, show_spinner=False)
def _sparkline(stamp: int, _run: Run) -> str:  # noqa: ARG001  # `stamp` is the cache key
    if _run.updates is None or _run.layers.empty:
        return ""
    _, last = _run.updates
    rows = _run.gradients(
        layers=[str(_run.layers["layer"].iloc[0])],
        updates=(max(last - WINDOWS + 1, 0), last),
        phases=["reset", "micro_step"],
        columns=["mean_abs", "nonfinite", "micro_step"],
    )
    broken = rows["nonfinite"].fillna(0) > 0
    values = [
        math.nan if is_broken else _or_none(value)
        for value, is_broken in zip(rows["mean_abs"].astype(float), broken, strict=True)
    ]
    return svg(values, [int(k) for k in rows["micro_step"]])


def svg(values: Sequence[Value], micro_steps: Sequence[int]) -> str:
    """G_0 .. G_n of several windows as one line.

    None stands for no gradient (at a reset: cleared), NaN for a gradient that is not finite: a tick at the top.
    """
    if not values:
        return ""
    rows = list(zip(values, micro_steps, strict=True))
    filled = [0.0 if value is None and k == 0 else value for value, k in rows]
    top = max((value for value in filled if _is_finite(value)), default=0.0) or 1.0
    right = (WIDTH - 2 * MARGIN) / max(len(filled) - 1, 1)
    down = HEIGHT - 2 * MARGIN
    across = [MARGIN + right * place for place in range(len(filled))]
    points = [
        (x, MARGIN + down * (1 - value / top)) if _is_finite(value) else None
        for x, value in zip(across, filled, strict=True)
    ]
    stale = [point for point, value, k in zip(points, filled, micro_steps, strict=True) if k == 0 and value]
    marks = "".join(f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.2"/>' for point in stale if point)
    broken = (
        x for x, value in zip(across, filled, strict=True) if value is not None and not _is_finite(value)
    )
    ticks = "".join(f"M{x:.1f} {MARGIN}v7" for x in broken)
    colour = STALE if marks else LINE
    image = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
        f'<path d="M0 {HEIGHT - MARGIN}H{WIDTH}" stroke="{AXIS}" stroke-opacity=".35"/>'
        f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        f'<path d="{ticks}" stroke="{STALE}" stroke-width="2"/>'
        f'<g fill="{STALE}">{marks}</g></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(image.encode()).decode()


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Line to line; a value that is missing or not finite breaks it."""
    path, pen_down = [], False
    for point in points:
        if point is not None:
            path.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = point is not None
    return "".join(path)


def _is_finite(value: Value) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _or_none(value: float) -> Value:
    return None if math.isnan(value) else value
