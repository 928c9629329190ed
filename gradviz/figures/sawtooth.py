"""The sawtooth: G_k rises micro-step by micro-step and falls to what the reset left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.place_marks import PlaceMark
from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import blank, sheet
from gradviz.figures.sawtooth_findings import finding_marks
from gradviz.figures.sawtooth_marks import event_marks, gap_bands, stale_floor
from gradviz.figures.sawtooth_panels import draw_panels
from gradviz.figures.sawtooth_pen import Pen
from gradviz.figures.sawtooth_seams import seam_lines
from gradviz.figures.sawtooth_traces import consumed_marks, micro_bars, rise
from gradviz.figures.value_axis import Floats, Integers, ValueAxis, value_axis
from gradviz.schema import Phase
from gradviz.texts import joined, text

_LABELS = 14  # update numbers that fit under the picture
_BOUNDARIES = 80  # window boundaries that can be told apart


def plot_sawtooth(
    sawtooths: Sawtooth | Sequence[Sawtooth],
    *,
    log: bool = False,
    panels: bool = False,
    marks: Sequence[PlaceMark] = (),
    language: str = "en",
) -> go.Figure:
    """The accumulated gradient of one or several layers over all micro-steps, g_k as bars under it.

    With `panels` each layer has a panel and an axis of its own, with its bars inside it. `marks` are what was found
    at some places: a star above each, with its words in the hover.

    *How to read it*: each tooth is a window. The line climbs while micro-batches add up; the diamond is what
    the optimizer consumed (linked to G_n where clipping or unscaling made it another value); then the line
    falls to the value that was *observed* at the next backward. A hollow circle on zero: reset. A red cross
    above zero, with the stale part filled red: not reset. Grey bands and broken lines: not recorded, never
    guessed. A dotted line: here another process resumed the run. A star: a check found something here.

    *Requires*: reset, micro-step and update rows of the layers; layers that share a picture must come from
    the same frame, so that their axes agree. With `log`, exact zeros have a line of their own.
    """
    shown = [sawtooths] if isinstance(sawtooths, Sawtooth) else list(sawtooths)
    shown = [one for one in shown if len(one.event)]
    if not shown:
        return blank(text("figure.sawtooth.name", language), "figure.sawtooth.empty", language)
    figure = sheet(_title(shown[0], language), _sentence(shown, language), height=560)
    if panels:
        draw_panels(figure, shown, log=log, language=language, marks=marks)
        figure.update_xaxes(title_text=text("figure.sawtooth.x", language), **_x_ticks(shown))
        return figure
    axis, micro_axis = _axes(shown, log, language)
    pen = Pen(figure, axis, language)
    gap_bands(pen, shown[0])
    seam_lines(pen, shown[0])
    for place, one in enumerate(shown):
        if len(shown) == 1:
            stale_floor(pen, one)
        micro_bars(pen, one, micro_axis, (place, len(shown)))
        rise(pen, one, place)
    for one in shown:
        consumed_marks(pen, one)
        event_marks(pen, one)
    finding_marks(pen, shown[0], marks)
    _lay_out(figure, shown, axis, micro_axis, language)
    return figure


def _axes(shown: Sequence[Sawtooth], log: bool, language: str) -> tuple[ValueAxis, ValueAxis]:
    """The axes of G_k and of g_k. A reset or an edit to None is a cleared gradient: zero, not missing."""

    def joint(values: list[Floats], counts: list[Integers]) -> ValueAxis:
        return value_axis(np.concatenate(values), np.concatenate(counts), log=log, language=language)

    accumulated = joint([one.cleared_value for one in shown], [one.cleared_nonfinite for one in shown])
    micro = [(one.phase == Phase.MICRO_STEP) & (one.micro_nonfinite >= 0) for one in shown]
    pairs = list(zip(shown, micro, strict=True))
    own = joint(
        [one.micro_value[rows] for one, rows in pairs], [one.micro_nonfinite[rows] for one, rows in pairs]
    )
    return accumulated, own


def _title(one: Sawtooth, language: str) -> str:
    return text(
        "figure.sawtooth.title", language, statistic=text(f"figure.statistic.{one.statistic}", language)
    )


def _sentence(shown: Sequence[Sawtooth], language: str) -> str:
    """What the picture says in words: not finite, resets, edits, and how much of the run is shown."""
    worst = max(shown, key=lambda one: one.stale_total)
    stale, resets = worst.stale_total, worst.resets_total
    key = "stale" if stale else ("clean" if resets else "no_resets")
    sentences = [text(f"figure.sawtooth.{key}", language, count=stale, total=resets)]
    broken = [one for one in shown if (one.cleared_nonfinite > 0).any()]
    if broken:
        first = min(_first_nonfinite(one) for one in broken)
        words = {"update": first[1], "micro_step": first[2]}
        key = "nonfinite" if any(map(_ends_nonfinite, broken)) else "nonfinite_once"
        sentences.insert(0, text(f"figure.sawtooth.{key}", language, **words))
    skipped = max(int(one.skipped.sum()) for one in shown)
    if skipped:
        sentences.insert(0, text("figure.sawtooth.skipped", language, count=skipped))
    edited = max(one.edited_total for one in shown)
    if edited:
        sentences.append(text("figure.sawtooth.edited", language, count=edited))
    thin = min(shown, key=lambda one: one.windows_shown)
    if thin.windows_shown < thin.windows_total:
        counts = {"shown": thin.windows_shown, "total": thin.windows_total}
        sentences.append(text("figure.sawtooth.thinned", language, **counts))
    return joined(sentences, language)


def _first_nonfinite(one: Sawtooth) -> tuple[int, int, int]:
    row = int(np.argmax(one.cleared_nonfinite > 0))
    return int(one.event[row]), int(one.update[row]), int(one.micro_step[row])


def _ends_nonfinite(one: Sawtooth) -> bool:
    """Whether the last window with a gradient is not finite: what was lost does not come back."""
    last = one.window[one.phase == Phase.MICRO_STEP]
    return bool(len(last)) and bool((one.cleared_nonfinite[one.window == last[-1]] > 0).any())


def _lay_out(
    figure: go.Figure, shown: Sequence[Sawtooth], axis: ValueAxis, micro_axis: ValueAxis, language: str
) -> None:
    statistic = shown[0].statistic
    figure.update_layout(
        yaxis={"domain": [0.36, 1.0], "title": {"text": text(f"figure.symbol.{statistic}", language)}}
        | axis.layout,
        yaxis2={
            "domain": [0.0, 0.27],
            "anchor": "x",
            "gridcolor": "rgba(128,128,128,0.22)",
            "zeroline": False,
            "title": {"text": text(f"figure.symbol.micro_{statistic}", language)},
        }
        | micro_axis.layout,
        xaxis={"anchor": "y2", "title": {"text": text("figure.sawtooth.x", language)}} | _x_ticks(shown),
    )
    if not axis.log:
        figure.update_yaxes(nticks=6, selector={"anchor": None})
        figure.update_layout(yaxis2_nticks=3)
    axis.draw_shelves(figure)


def _x_ticks(shown: Sequence[Sawtooth]) -> dict[str, object]:
    """A line at the end of each window, labelled with the number of the update that stands there."""
    one = shown[0]
    windows = np.unique(np.concatenate([each.window for each in shown]))
    windows = windows[one.window_length[windows] > 0]
    if len(windows) > _BOUNDARIES:
        windows = windows[:: -(-len(windows) // _LABELS)]
    ends = one.window_start[windows] + one.window_length[windows]
    every = max(1, -(-len(windows) // _LABELS))
    labels = [
        str(number) if place % every == 0 else "" for place, number in enumerate(one.window_update[windows])
    ]
    begins = min(float(each.x.min()) for each in shown)
    stops = max(float(each.x.max()) for each in shown)
    return {
        "tickmode": "array",
        "tickvals": ends,
        "ticktext": labels,
        "range": [begins - 0.02 * (stops - begins) - 0.2, stops + 0.02 * (stops - begins) + 0.2],
    }
