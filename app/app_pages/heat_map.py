"""Heat map: where and when does the gradient change?"""

from __future__ import annotations

import dashboard_heat_map as parts
from dashboard_heat_map_part import selected_part
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run


def draw(reading: Reading) -> None:
    """The controls, the map, and what lies behind the part of it that was selected."""
    choice = parts.ask(reading)
    layers = parts.wanted_layers(reading, choice)
    if not layers:
        return
    found = None
    with section("heat_map.map", heading=False):
        found = parts.map_part(reading, layers, choice)
    if found is not None:
        with section("heat_map.part", heading=False):
            selected_part(reading, layers, found, choice)


show_run(
    "heat_map",
    draw,
    parameters=(
        "lang",
        "run",
        "statistic",
        "against",
        "depth",
        "order",
        "find",
        "match",
        "range",
        "rows",
        "from",
        "to",
        "updates",
    ),
)
