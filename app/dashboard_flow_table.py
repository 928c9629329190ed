"""The numbers of the gradient flow as tables: a picture of a thousand layers hides single ones."""

from __future__ import annotations

import math

from dashboard_columns import numbers, texts
from dashboard_flow_moments import Moment
from dashboard_flow_pictures import Kind, facts_at
from dashboard_reading import Reading
from dashboard_sections import show_table
from dashboard_words import printable, say_plain

from gradviz.analysis import FlowChange, LayerFlow
from gradviz.figures.numbers import table_format

RARE = ("micro", "cosine", "step_ratio", "zeros")  # shown only where any layer has them
EXACT, COUNT = ("%.2e", 90), ("%d", 80)
LETTER, WIDEST = 8, 270  # pixels of a name


def show_moment_table(reading: Reading, moment: Moment, kind: Kind, record: LayerFlow) -> None:
    """One row a layer, with what is known of it."""
    facts = facts_at(reading, moment, kind)
    rows = [
        {
            "position": place,
            "layer": printable(layer),
            "accumulated": record.accumulated[place],
            "micro": record.micro[place],
            "maximum": record.maximum[place],
            "cosine": facts.values["cosine"][place],
            "step_ratio": facts.step_ratio[place],
            "zeros": facts.values["zeros"][place],
            "condition": _condition(record, place),
            "type": printable(facts.module_type[place]),
            "shape": facts.shape[place],
            "numel": facts.numel[place],
        }
        for place, layer in enumerate(record.layers)
    ]
    columns = numbers("flow", position=("%d", 50), accumulated=("%.2e", 100), micro=EXACT, maximum=EXACT)
    columns |= texts("flow", layer=_width(record), condition=130)
    zeros = (table_format(facts.values["zeros"]), 80)
    columns |= numbers("flow_column", numel=COUNT, cosine=("%.2f", 70), step_ratio=EXACT, zeros=zeros)
    columns |= texts("flow_column", type=105, shape=95)
    void = [name for name in RARE if all(math.isnan(row[name]) for row in rows)]
    rows = [{name: cell for name, cell in row.items() if name not in void} for row in rows]
    show_table("gradient_flow.table", rows, columns)


def show_change_table(record: FlowChange) -> None:
    """One row a layer: both moments, and the factor between them."""
    rows = [
        {
            "position": place,
            "layer": printable(layer),
            "first": record.before.accumulated[place],
            "second": record.after.accumulated[place],
            "ratio": record.ratio[place],
            "condition": _condition(record.after, place),
        }
        for place, layer in enumerate(record.before.layers)
    ]
    columns = numbers("flow", position=("%d", 50)) | texts("flow", layer=_width(record.before), condition=180)
    ratio = (table_format(record.ratio), 95)
    columns |= numbers("flow_column", first=EXACT, second=EXACT, ratio=ratio)
    show_table("gradient_flow.table", rows, columns)


def _width(record: LayerFlow) -> int:
    """Of the column of names: in a narrow window, numbers are to be seen beside short ones."""
    return min(WIDEST, 24 + LETTER * max(map(len, record.layers), default=0))


def _condition(record: LayerFlow, place: int) -> str:
    if not record.recorded[place]:
        return say_plain("condition.not_recorded")
    if record.nonfinite[place] < 0:
        return say_plain("condition.no_gradient")
    if record.nonfinite[place] > 0:
        return say_plain("condition.nonfinite", count=int(record.nonfinite[place]))
    return say_plain("condition.zero") if record.maximum[place] == 0 else say_plain("condition.finite")
