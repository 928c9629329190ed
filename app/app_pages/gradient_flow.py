"""Gradient flow: which layers starve or explode?"""

from __future__ import annotations

import dashboard_flow as parts
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run


def draw(reading: Reading) -> None:
    """The moment, all layers at it, and the same as a table; the sizes of one layer's elements over the run."""
    moment, question = parts.ask(reading)
    if moment is None:
        return
    with section("gradient_flow.picture", heading=False):
        record = parts.flow_part(reading, moment, question)
    with section("gradient_flow.table"):
        parts.table_part(record)
    if reading.run.has_distributions:
        with section("gradient_flow.ridge", heading=False):
            parts.ridge_part(reading)


show_run(
    "gradient_flow", draw, parameters=("lang", "run", "statistic", "scale", "window", "moment", "spread")
)
