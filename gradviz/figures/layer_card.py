"""What stands in the hover of a layer: everything known of it, a line a subject, nothing where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.layer_facts import LayerFacts
from gradviz.analysis.layer_flow import LayerFlow
from gradviz.figures.names import escape_plotly, hovered_name
from gradviz.figures.numbers import number
from gradviz.texts import text

Floats = NDArray[np.float64]
_MISSING = "–"

# One tuple a line of the hover: columns of `LayerFacts.values`, and `step_ratio`.
_LINES = (
    ("mean_abs", "l2", "max_abs"),
    ("micro_mean_abs", "micro_l2", "micro_max_abs"),
    ("cosine",),
    ("nonfinite", "micro_nonfinite"),
    ("step_l2", "weight_l2", "step_ratio"),
    ("zeros", "unchanged"),
)
_WHEN_ABOVE_ZERO = ("nonfinite", "micro_nonfinite")  # a line that says 0 for every layer is noise


@dataclass(frozen=True)
class Card:
    """A hover: `names` [L] are its heads, `fields` [L, F] its numbers as words, `template` puts them together."""

    names: NDArray[np.object_]
    fields: NDArray[np.object_]
    template: str


def layer_card(
    flow: LayerFlow, facts: LayerFacts | None, *, language: str, lines: Sequence[Sequence[str]] | None = None
) -> Card:
    """The card of each layer at a moment; without `facts` it has the numbers that the picture shows.

    `lines` are those of another moment, from `lines_of`, so that all moments of an animation share one template.
    """
    columns = _columns(flow, facts)
    lines = lines_of([(flow, facts)]) if lines is None else lines
    shown = [column for line in lines for column in line]
    words = [[_word(column, value) for value in columns[column]] for column in shown]
    heads = [] if facts is None else [_head(facts, place, language) for place in range(len(flow.layers))]
    fields = np.array([heads, *words] if heads else words, dtype=object).reshape(-1, len(flow.layers)).T
    return Card(
        names=np.array([hovered_name(name) for name in flow.layers], dtype=object),
        fields=fields,
        template=_template(lines, bool(heads), language),
    )


def lines_of(moments: Sequence[tuple[LayerFlow, LayerFacts | None]]) -> list[tuple[str, ...]]:
    """The lines, and the columns in them, that any of these moments has something to say in."""
    known = [_columns(flow, facts) for flow, facts in moments]
    lines = (
        tuple(one for one in line if any(_says_something(one, at[one]) for at in known)) for line in _LINES
    )
    return [line for line in lines if line]


def _columns(flow: LayerFlow, facts: LayerFacts | None) -> dict[str, Floats]:
    everywhere = dict.fromkeys(
        (column for line in _LINES for column in line), np.full(len(flow.layers), np.nan)
    )
    if facts is not None:
        return everywhere | dict(facts.values) | {"step_ratio": facts.step_ratio}
    counts = {
        "nonfinite": np.where(flow.nonfinite < 0, np.nan, flow.nonfinite),
        "micro_nonfinite": np.where(flow.micro_nonfinite < 0, np.nan, flow.micro_nonfinite),
    }
    values = {
        "max_abs": flow.maximum,
        flow.statistic: flow.accumulated,
        f"micro_{flow.statistic}": flow.micro,
    }
    return everywhere | counts | values


def _says_something(column: str, values: Floats) -> bool:
    known = values > 0 if column in _WHEN_ABOVE_ZERO else ~np.isnan(values)
    return bool(known.any())


def _word(column: str, value: float) -> str:
    return _MISSING if np.isnan(value) else _SHAPES.get(column, number)(value)


def _share(value: float) -> str:
    return "0 %" if value == 0 else f"{number(100 * value)} %"


def _count(value: float) -> str:
    return f"{value:,.0f}"


_SHAPES: dict[str, Callable[[float], str]] = {
    "zeros": _share,
    "unchanged": _share,
    "nonfinite": _count,
    "micro_nonfinite": _count,
}


def _head(facts: LayerFacts, place: int, language: str) -> str:
    return text(
        "figure.card.head",
        language,
        kind=escape_plotly(facts.module_type[place]) or _MISSING,
        shape=facts.shape[place],
        numel=f"{facts.numel[place]:,}",
    )


def _template(lines: Sequence[Sequence[str]], has_head: bool, language: str) -> str:
    """Labels and places of the fields; the labels are ours, all that a run names is in the fields."""
    written = ["<b>%{text}</b>"] + (["%{customdata[0]}"] if has_head else [])
    place = int(has_head)
    for line in lines:
        parts = []
        for column in line:
            parts.append(f"{text(f'figure.card.{column}', language)} %{{customdata[{place}]}}")
            place += 1
        written.append(" · ".join(parts))
    return "<br>".join(written) + "<extra></extra>"
