"""What all traces of a sawtooth share: the pen, hover texts, legend entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import hover
from gradviz.figures.names import escape_plotly
from gradviz.figures.numbers import number_format
from gradviz.figures.value_axis import Floats, ValueAxis
from gradviz.texts import text


@dataclass(frozen=True)
class Pen:
    """What every trace of one picture needs: where to draw, the axis of G_k, the language."""

    figure: go.Figure
    axis: ValueAxis
    language: str

    def heights(self, one: Sawtooth) -> Floats:
        """Where the value of each event stands; None after a reset or an edit is zero."""
        return self.axis.place(one.cleared_value, one.cleared_nonfinite)

    def word(self, key: str) -> str:
        """A sentence of the sawtooth."""
        return text(f"figure.sawtooth.{key}", self.language)


def crowded(size: float, count: int) -> float:
    """The size of one of `count` marks of a kind: smaller where many stand side by side."""
    return size if count <= 40 else max(3.0, 0.6 * size) if count <= 200 else 3.0


def legend_once(pen: Pen, group: str, name: str) -> dict[str, object]:
    """One entry a kind of mark, however many layers have it."""
    first = all(trace.legendgroup != group for trace in pen.figure.data)
    return {"legendgroup": group, "name": name, "showlegend": first}


def known(one: Sawtooth) -> Floats:
    """Everything known about each event, for its hover."""
    columns = [one.update, one.micro_step, one.value, one.micro_value, one.cosine, one.loss, one.event]
    return np.column_stack(columns).astype(np.float64)


def hover_of(one: Sawtooth, head: str, language: str, extra: Sequence[tuple[str, str]] = ()) -> str:
    fields = [
        (text("figure.word.layer", language), escape_plotly(one.layer)),
        (text("figure.word.update", language), "%{customdata[0]:d}"),
        (text("figure.word.micro_step", language), "%{customdata[1]:d}"),
        (
            text(f"figure.symbol.{one.statistic}", language),
            f"%{{customdata[2]:{number_format(one.value)}}}",
        ),
        *extra,
    ]
    optional = [
        (one.micro_value, f"figure.symbol.micro_{one.statistic}", 3),
        (one.cosine, "figure.word.cosine", 4),
        (one.loss, "figure.word.loss", 5),
    ]
    for column, key, place in optional:
        if np.isfinite(column).any():
            fields.append((text(key, language), f"%{{customdata[{place}]:{number_format(column)}}}"))
    return hover(head, [*fields, (text("figure.word.event", language), "%{customdata[6]:d}")])
