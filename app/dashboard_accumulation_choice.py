"""What the reader of the accumulation page chose to see: layers, groups of layers, windows, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from dashboard_accumulation_counts import counts
from dashboard_controls import controls
from dashboard_reading import Reading, Span, all_events
from dashboard_widgets import pick_one, pick_several, pick_span
from dashboard_words import Language, language, printable, say, say_plain
from streamlit.delta_generator import DeltaGenerator

from gradviz.analysis import STATISTICS, Statistic
from gradviz.analysis.groups import Group, module_tree, tree_depth
from gradviz.analysis.series_rows import newest_updates

MOST_LAYERS = 6  # lines that one picture can tell apart
MOST_SERIES = 12  # panels under each other
FIRST_LAYERS = 3
FIRST_WINDOWS = 16  # windows shown until the reader chooses: as many teeth as a screen shows well
ROWS = 250_000  # that the pictures of one answer may be made of: the app stays under 500 MB whatever is asked for
WHOLE_MODEL = "*"
OVERLAY, PANELS = "overlay", "panels"


@dataclass(frozen=True)
class Choice:
    """`series` are layers and groups as they are called on the screen, `keys` as in the URL.

    `updates` are the windows shown, `reach` those to read. `cut`: not all that were asked for can be shown.
    """

    series: tuple[Group, ...]
    keys: tuple[str, ...]
    statistic: Statistic
    log: bool
    panels: bool
    updates: Span
    reach: Span
    language: Language
    cut: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that a series is made of."""
        return tuple(dict.fromkeys(layer for one in self.series for layer in one.layers))

    def group(self, key: str) -> Group:
        """The series of a name in the URL."""
        return self.series[self.keys.index(key)]


def ask(reading: Reading) -> Choice | None:
    """The controls of the page; None where nothing is chosen, or too much, which is then said."""
    with controls():
        layers_box, windows_box = st.columns([3, 2], gap="medium")
        look_box, groups_box = st.columns([3, 2], gap="medium")
        with look_box:
            statistic, is_log, panels = _ask_look()
        series = _ask_series(reading, layers_box, groups_box)
        layers = tuple(dict.fromkeys(layer for one in series.values() for layer in one.layers))
        with windows_box:
            asked = _ask_windows(reading, layers)
    if not series:
        st.info(say("empty.layers"), icon=":material/layers:")
        return None
    updates = newest_updates(all_events(reading.stamp, reading.run), asked, most=ROWS // len(layers))
    if updates is None:
        st.warning(say("accumulation.too_large", layers=len(layers), rows=ROWS), icon=":material/data_usage:")
        return None
    return Choice(
        series=tuple(series.values()),
        keys=tuple(series),
        statistic=statistic,
        log=is_log,
        panels=panels or len(series) > MOST_LAYERS,
        updates=updates,
        reach=reading.reach(updates),
        language=language(),
        cut=updates != asked,
    )


def _ask_windows(reading: Reading, layers: tuple[str, ...]) -> Span:
    first, last = reading.windows
    look, hint = _first_look(reading, layers), say("choose.windows_help")
    return pick_span("windows", say("choose.windows"), first, last, default=look, hint=hint)


def _ask_look() -> tuple[Statistic, bool, bool]:
    """The statistic, whether its axis is logarithmic, and whether each series has a panel."""
    with st.container(horizontal=True, gap="medium"):
        statistic = pick_one(
            "statistic",
            say("choose.statistic"),
            STATISTICS,
            lambda one: say(f"statistic.{one}"),
            default="mean_abs",
        )
        scale = pick_one(
            "scale", say("choose.scale"), ("linear", "log"), lambda one: say(f"scale.{one}"), default="linear"
        )
        arrange = pick_one(
            "arrange",
            say("accumulation.arrange"),
            (OVERLAY, PANELS),
            lambda one: say(f"accumulation.arrange_{one}"),
            default=OVERLAY,
        )
    return statistic, scale == "log", arrange == PANELS


def _ask_series(reading: Reading, layers_box: DeltaGenerator, groups_box: DeltaGenerator) -> dict[str, Group]:
    """Layers and groups, by the names that the URL has for them."""
    groups = _groups(reading.layers)
    with groups_box:  # first: whoever chose a group need not have a layer beside it
        chosen = _ask_groups(groups) if groups else []
    with layers_box:
        layers = pick_several(
            "layer",
            say("choose.layers"),
            reading.layers,
            default=[] if chosen else first_layers(reading),
            most=MOST_SERIES,
            hint=say("choose.layers_help", most=MOST_SERIES),
        )
    series = {name: Group(name, (name,)) for name in layers}
    series |= {name: Group(_shown(name, groups), groups[name].layers) for name in chosen}
    return dict(list(series.items())[:MOST_SERIES])


def _ask_groups(groups: dict[str, Group]) -> list[str]:
    return pick_several(
        "group",
        say("accumulation.groups"),
        list(groups),
        default=[],
        most=MOST_SERIES,
        hint=say("accumulation.groups_help"),
        shown=lambda name: _shown(name, groups),
    )


def _groups(layers: list[str]) -> dict[str, Group]:
    """The whole model and every module with several layers in it, outer ones first."""
    if len(layers) < 2:
        return {}
    found = {WHOLE_MODEL: Group(WHOLE_MODEL, tuple(layers))}
    for depth in range(1, tree_depth(layers)):
        found |= {one.name: one for one in module_tree(layers, depth) if 1 < len(one.layers) < len(layers)}
    return {name: one for name, one in found.items() if name not in layers}


def _shown(name: str, groups: dict[str, Group]) -> str:
    label = say_plain("choose.part_model") if name == WHOLE_MODEL else printable(name)
    return say_plain("accumulation.group", name=label, count=len(groups[name].layers))


def first_layers(reading: Reading) -> list[str]:
    """First, middle and last weight of the model: the spread of depths says more than three neighbours."""
    weights = [name for name in reading.layers if name.endswith("weight")]
    weights = weights if len(weights) >= FIRST_LAYERS else reading.layers
    places = [0, len(weights) // 2, len(weights) - 1]
    return list(dict.fromkeys(weights[place] for place in places if weights))


def _first_look(reading: Reading, layers: tuple[str, ...]) -> Span:
    """The last windows; of a run that broke before them, the windows around the first that is not finite."""
    first, last = reading.windows
    start = max(last - FIRST_WINDOWS + 1, first)
    broken = counts(reading, layers, first_layers(reading)[0]).first_broken
    if broken is not None and broken <= start:
        start = max(broken - FIRST_WINDOWS // 2, first)
    return start, min(start + FIRST_WINDOWS - 1, last)
