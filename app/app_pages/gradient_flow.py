"""Gradient flow: which layers starve or explode?"""

from __future__ import annotations

import dashboard_flow as parts
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run


def draw(reading: Reading) -> None:
    """One moment, a film or two moments, with a table; updates over weights; the sizes of one layer's elements."""
    parts.show_moments(reading, parts.ask(reading))
    with section("gradient_flow.update_ratio", heading=False):
        parts.update_ratio_part(reading)
    if reading.run.has_distributions:
        with section("gradient_flow.ridge", heading=False):
            parts.ridge_part(reading)


show_run(
    "gradient_flow",
    draw,
    parameters=(
        "lang", "run", "show", "kind", "statistic", "scale", "window", "moment", "window2", "moment2", "layer",
        "spread",
    ),
)  # fmt: skip
