"""What all traces of a sawtooth share: the pen, hover texts, legend entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.sawtooth import Sawtooth
from gradviz.figures.canvas import hover
from gradviz.figures.names import escape_plotly
from gradviz.figures.numbers import number
from gradviz.figures.value_axis import Flags, Floats, Integers, ValueAxis
from gradviz.schema import Phase
from gradviz.texts import text

Fields: TypeAlias = Sequence[tuple[str, list[float | None]]]


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


def told(one: Sawtooth, rows: Flags | Integers, language: str, extra: Fields = ()) -> dict[str, Any]:
    """Keywords of a trace over `rows`: hover texts with everything that is known, and nothing that is not.

    `customdata` holds update, micro-step, value and event; `extra` names a further number of each row.
    """
    parts = [_named(label, values) for label, values in _fields(one, rows, language)]
    parts += [_named(label, values) for label, values in extra]
    columns = [one.update[rows], one.micro_step[rows], one.value[rows], one.event[rows]]
    return {
        "customdata": np.column_stack(columns).astype(np.float64),
        "text": ["<br>".join(filter(None, words)) for words in zip(*parts, strict=True)],
    }


def template(one: Sawtooth, head: str, language: str) -> str:
    """The hover template that goes with `told`."""
    fields = [
        (text("figure.word.layer", language), escape_plotly(one.layer)),
        (text("figure.word.update", language), "%{customdata[0]:d}"),
        (text("figure.word.micro_step", language), "%{customdata[1]:d}<br>%{text}"),
        (text("figure.word.event", language), "%{customdata[3]:d}"),
    ]
    return hover(head, fields)


def _fields(one: Sawtooth, rows: Flags | Integers, language: str) -> Fields:
    """Label and number of each row; None where there is none, which is not the same as NaN."""
    symbol, micro_symbol = f"figure.symbol.{one.statistic}", f"figure.symbol.micro_{one.statistic}"
    no_loss = (one.phase != Phase.MICRO_STEP) | ~np.isfinite(one.loss).any()
    columns = [
        (symbol, one.cleared_value, one.cleared_nonfinite < 0),
        (micro_symbol, one.micro_value, one.micro_nonfinite < 0),
        ("figure.word.cosine", one.cosine, np.isnan(one.cosine)),
        ("figure.word.loss", one.loss, no_loss),
    ]
    return [(text(key, language), known(values[rows], absent[rows])) for key, values, absent in columns]


def known(values: Floats, absent: Flags) -> list[float | None]:
    """`values`, with None where there is none to tell."""
    return [None if gone else value for value, gone in zip(values.tolist(), absent.tolist(), strict=True)]


def _named(label: str, values: list[float | None]) -> list[str]:
    return ["" if value is None else f"{label}: {number(value)}" for value in values]
