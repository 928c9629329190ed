"""What lies behind a part of the heat map: its micro-steps, and links to the pages that show more."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_accumulation import MOST_LAYERS
from dashboard_diagnosis import AROUND
from dashboard_heat_map import forget_selection, named, selection, show_only
from dashboard_heat_map_pictures import Choice, draw_part, groups_of, is_long
from dashboard_reading import Reading, Span
from dashboard_sections import show_picture
from dashboard_widgets import pick_several
from dashboard_words import say

from gradviz.analysis import HeatMap, most_changing
from gradviz.analysis.groups import Group
from gradviz.analysis.heat_map_rows import focus, part

CLOSE = 16  # windows before and after the place to look at, where all of them are too many


def selected_part(reading: Reading, layers: list[str], found: HeatMap, choice: Choice) -> None:
    """The chosen rows over the chosen updates, or how to choose some."""
    hint = say("heat_map.rows_help")
    pick_several(
        "rows", say("heat_map.rows"), found.layers, default=[], most=view.MAX_VALUES, hint=hint
    )  # what a click on a mark chooses, for a keyboard
    selected = selection(found, choice)
    if selected is None:
        st.info(say("heat_map.choose"), icon=":material/ink_selection:")
        return
    rows, updates = selected
    chosen = part(found, rows, updates)
    shown = most_changing(chosen, MOST_LAYERS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            say("heat_map.selected", rows=named(rows), first=updates[0], last=updates[1]), width="content"
        )
        if updates != choice.updates:
            st.button(
                say("heat_map.only"), icon=":material/zoom_in:", on_click=show_only, args=(updates,), type="tertiary",
                help=say("heat_map.only_help"),
            )  # fmt: skip
        st.button(say("heat_map.forget"), icon=":material/close:", on_click=forget_selection, type="tertiary")
    if len(shown.layers) < len(rows):
        st.caption(say("heat_map.some", shown=len(shown.layers), count=len(rows)))
    place = focus(chosen)
    if place is None:
        return
    groups = tuple(group for group in groups_of(layers, choice.depth) if group.name in set(shown.layers))
    near = _near(reading, groups, updates, place[1])
    if near != updates:
        st.caption(say("heat_map.near", first=near[0], last=near[1]))
    show_picture("heat_map.part", draw_part(reading, groups, choice, near))
    _links(reading, groups, place, near)


def _near(reading: Reading, groups: tuple[Group, ...], updates: Span, update: int) -> Span:
    """The windows, or those around the place to look at where all have too many rows."""
    if not is_long(reading, updates, sum(len(group.layers) for group in groups)):
        return updates
    return max(update - CLOSE, updates[0]), min(update + CLOSE, updates[1])


def _links(reading: Reading, groups: tuple[Group, ...], place: tuple[str, int], updates: Span) -> None:
    """To the same layers and windows, and to all layers where these change most."""
    name, update = place
    first, last = updates if updates[1] - updates[0] <= 2 * CLOSE else (update - AROUND, update + AROUND)
    low, high = reading.windows
    here = {one: view.values(one) for one in ("lang", "run", "rank", "statistic") if view.values(one)}
    in_order = sorted(groups, key=lambda group: group.name != name)
    layers = [layer for group in in_order for layer in group.layers][:MOST_LAYERS]
    windows = [f"{max(first, low)}-{min(last, high)}"]
    with st.container(horizontal=True, gap="medium"):
        st.page_link(
            "app_pages/accumulation.py",
            label=say("heat_map.to_accumulation"),
            icon=":material/stacked_line_chart:",
            query_params=here | {"layer": layers, "windows": windows, "window": [str(update)]},
        )
        st.page_link(
            "app_pages/gradient_flow.py",
            label=say("heat_map.to_flow", update=update),
            icon=":material/bar_chart:",
            query_params=here | {"window": [str(update)], "moment": ["update"]},
        )
