"""The parts of the heat-map page: what to show, the map, and what lies behind a part of it."""

from __future__ import annotations

import dashboard_view as view
import streamlit as st
from dashboard_controls import controls
from dashboard_findings import diagnosis
from dashboard_heat_map_pictures import MOST_ROWS, Choice, draw_map, groups_of, is_long, layers_of, outlined
from dashboard_reading import Picture, Reading, Span
from dashboard_saving import draw_picture, picture_head
from dashboard_sections import show_picture
from dashboard_widgets import pick_from_menu, pick_one, pick_span, type_text
from dashboard_words import escape, language, say, say_plain

from gradviz.analysis import STATISTICS, HeatMap
from gradviz.analysis.groups import finest_depth, tree_depth
from gradviz.analysis.heat_map_rows import ROW_ORDERS, boxed
from gradviz.errors import QueryError
from gradviz.schema import Level

EACH_LAYER = "layers"
MAP, STRIP = "heat_map.map", "heat_map.strip"
_BARE = (
    "heat_map.bare"  # of the session: the map that was drawn without a frame, so that the browser has its own
)


def ask(reading: Reading) -> Choice:
    """The controls of the page."""
    first, last = reading.windows
    with controls():
        statistic_box, against_box, depth_box, order_box = st.columns([3, 3, 3, 3], vertical_alignment="top")
        with statistic_box:
            statistic = pick_one(
                "statistic",
                say("choose.statistic"),
                STATISTICS,
                lambda one: say(f"statistic.{one}"),
                default="mean_abs",
            )
        with against_box:
            against = pick_one(
                "against", say("heat_map.against"), ("median", "size"), lambda one: say(f"heat_map.against_{one}"),
                default="median",
            )  # fmt: skip
        with depth_box:
            depth = _choose_depth(reading.layers)
        with order_box:
            order = pick_from_menu(
                "order", say("heat_map.order"), ROW_ORDERS, lambda one: say_plain(f"heat_map.order_{one}"),
                default="forward",
            )  # fmt: skip
        find_box, match_box, range_box = st.columns([4, 2, 6], vertical_alignment="bottom")
        with match_box:
            match = pick_one(
                "match", say("heat_map.match"), ("words", "pattern"), lambda one: say(f"heat_map.match_{one}"),
                default="words", visible=False,
            )  # fmt: skip
        with find_box:
            find = type_text("find", say("heat_map.find"), say_plain(f"heat_map.find_{match}"))
        with range_box:
            updates = pick_span(
                "range",
                say("heat_map.range"),
                first,
                last,
                default=(first, last),
                hint=say("heat_map.range_help"),
            )
    is_pattern = match == "pattern"
    return Choice(statistic, against == "median", depth, order, find, is_pattern, updates, language())


def wanted_layers(reading: Reading, choice: Choice) -> list[str]:
    """The layers that are looked for; why there are none is said."""
    try:
        found = layers_of(reading, choice)
    except QueryError as error:
        st.warning(say("heat_map.no_pattern", reason=str(error)), icon=":material/regular_expression:")
        return []
    if not found:
        st.info(
            say("heat_map.no_match", wanted=choice.find, count=len(reading.layers)),
            icon=":material/search_off:",
        )
    elif choice.find.strip():
        st.caption(say("heat_map.matching", found=len(found), count=len(reading.layers)))
    return found


def map_part(reading: Reading, layers: list[str], choice: Choice) -> HeatMap | None:
    """The map, what it is made of, and what a box or a mark in it leads to; None where there is nothing to choose."""
    picture, strip = draw_map(reading, layers, choice, _levels(reading, choice))
    found: HeatMap = picture.record
    if found.unknown.size and found.unknown.all():
        st.info(say("heat_map.unknown"), icon=":material/functions:")
        return None
    if picture.figure is None:
        show_picture(MAP, picture)
        return None
    _forget_what_rows_replace()
    selected = selection(found, choice)
    identity = (reading.stamp, choice)
    is_bare = st.session_state.get(_BARE) == identity and not view.values("rows")
    if selected is not None and not (is_bare and _drawn_by_hand()):
        picture = outlined(picture, *selected)
        st.session_state.pop(_BARE, None)
    else:
        st.session_state[_BARE] = identity
    _map_and_strip(picture, strip, found)
    if is_long(reading, choice.updates, len(reading.layers)):
        st.caption(say("heat_map.blocks"))
    if found.unknown.any():
        st.caption(say("heat_map.partly_unknown"))
    return found


def selection(found: HeatMap, choice: Choice) -> tuple[tuple[str, ...], tuple[int, int]] | None:
    """The rows and updates that the reader chose, as far as they are on the map."""
    named = set(view.values("rows"))
    rows = tuple(name for name in found.layers if name in named)
    ends = [found.layers.index(name) for key in ("from", "to") if (name := view.value(key)) in found.layers]
    if not rows and len(ends) == 2:
        rows = found.layers[min(ends) : max(ends) + 1]
    first, last = view.span("updates") or choice.updates
    first, last = max(first, choice.updates[0]), min(last, choice.updates[1])
    return (rows, (first, last)) if rows and first <= last else None


def show_only(updates: Span) -> None:
    """Make the map of these updates alone: a zoom that a link and a refreshed page keep."""
    view.touch("range", f"{updates[0]}-{updates[1]}")


def forget_selection() -> None:
    """Nothing is chosen any more."""
    for name in ("rows", "from", "to", "updates"):
        view.touch(name, None)


def _forget_what_rows_replace() -> None:
    """Rows chosen by name stand in place of a box; without either, updates alone choose nothing."""
    if view.values("rows"):
        view.keep("from", None)
        view.keep("to", None)
    elif not (view.value("from") and view.value("to")):
        view.keep("updates", None)


def _choose_depth(layers: list[str]) -> int | None:
    deepest = tree_depth(layers)
    options = [EACH_LAYER, *(str(depth) for depth in range(1, deepest))]

    def shown(option: str) -> str:
        if option == EACH_LAYER:
            return say_plain("heat_map.each_layer", count=len(layers))
        return say_plain("heat_map.depth", depth=option, count=len(groups_of(layers, int(option))))

    usual = finest_depth(layers, MOST_ROWS)
    default = EACH_LAYER if usual is None else str(usual)
    chosen = pick_from_menu("depth", say("heat_map.group"), options, shown, default=default)
    if usual is not None and chosen == default:
        st.caption(say("heat_map.grouped", most=MOST_ROWS))
    return None if chosen == EACH_LAYER else int(chosen)


def _levels(reading: Reading, choice: Choice) -> dict[str, Level]:
    """The worst level of what was found about each layer, where rows are ordered by it."""
    if choice.order != "finding":
        return {}
    found = diagnosis(reading)
    if found is None:
        st.caption(say("heat_map.not_examined"))
        return {}
    worst_first = [(layer, finding.level) for finding in found.findings for layer in finding.layers]
    if not worst_first:
        st.caption(say("heat_map.no_findings"))
    return dict(reversed(worst_first))


def _map_and_strip(picture: Picture, strip: Picture, found: HeatMap) -> None:
    """Beside each other, row by row; on a narrow screen one below the other."""
    with picture_head(MAP, picture):
        st.header(escape(picture.title), anchor=False, help=say(f"{MAP}.help"), width="content")
    st.caption(escape(picture.sentence))
    map_box, strip_box = st.columns([6, 1], gap=None)
    with map_box:
        draw_picture(MAP, picture, on_select=lambda: _adopt_box(found), selection_mode="box")
    with strip_box:
        draw_picture(STRIP, strip, on_select=lambda: _adopt_marks(found), selection_mode="points")


def _drawn_by_hand() -> bool:
    """Whether the browser shows a box of its own."""
    chosen = st.session_state.get(MAP)
    return chosen is not None and bool(chosen.selection.box)


def _adopt_box(found: HeatMap) -> None:
    """Take over the box that the reader drew; without one nothing is chosen."""
    boxes = st.session_state[MAP].selection.box
    taken = boxed(found, boxes[-1]["x"], boxes[-1]["y"]) if boxes else None
    forget_selection()
    if taken is not None:
        rows, (first, last) = taken
        view.touch("from", rows[0])
        view.touch("to", rows[-1])
        view.touch("updates", f"{first}-{last}")


def _adopt_marks(found: HeatMap) -> None:
    """Take over the rows whose marks were clicked."""
    places = [round(point["y"]) for point in st.session_state[STRIP].selection.points]
    forget_selection()
    view.touch(
        "rows", [found.layers[place] for place in places if place < len(found.layers)][: view.MAX_VALUES]
    )


def named(rows: tuple[str, ...]) -> str:
    """The chosen rows in a few words."""
    return (
        rows[0]
        if len(rows) == 1
        else say_plain("heat_map.several", first=rows[0], last=rows[-1], count=len(rows))
    )
