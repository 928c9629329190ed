"""The pictures of the heat-map page, made once and kept until the run, the choice or the language changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st
from dashboard_reading import ROWS_AT_ONCE, Picture, Reading, Span, events, rows
from dashboard_words import Language

from gradviz.analysis import (
    HeatMap,
    Statistic,
    heat_map,
    heat_map_of_updates,
    most_changing,
    sawtooth,
    thin_windows,
)
from gradviz.analysis.groups import Group, module_tree, rolled_up
from gradviz.analysis.heat_map import block_columns
from gradviz.analysis.heat_map_rows import RowOrder, head, narrowed, ordered, worst_levels
from gradviz.figures import plot_heat_map, plot_row_strip, plot_sawtooth
from gradviz.figures.heat_map_strip import with_outline
from gradviz.schema import Level
from gradviz.store import Run
from gradviz.store.matching import like, with_words

MOST_ROWS, MOST_COLUMNS, LEAST_COLUMNS = 1_000, 1_000, 250
CELLS = MOST_COLUMNS * LEAST_COLUMNS  # of one map: 1.1 MB on their way to the browser
HOVERED = 60_000  # as many may tell their exact values within the same size
KEPT_MAPS = 8  # each takes some megabytes
POINTS = 6_000  # of the sawtooth of a part
NEEDED = ("event", "update", "phase", "layer", "nonfinite")


@dataclass(frozen=True)
class Choice:
    """What the map shows. `depth` is that of the module tree, None for each layer by itself."""

    statistic: Statistic
    relative: bool
    depth: int | None
    order: RowOrder
    find: str
    is_pattern: bool
    updates: Span
    language: Language


def layers_of(reading: Reading, choice: Choice) -> list[str]:
    """The layers that are looked for; raises QueryError where the pattern is none."""
    names = reading.layers
    if not choice.find.strip():
        return names
    return like(names, choice.find) if choice.is_pattern else with_words(names, choice.find)


def groups_of(layers: Sequence[str], depth: int | None) -> tuple[Group, ...]:
    """The rows of the map, each with its layers."""
    return tuple(Group(name, (name,)) for name in layers) if depth is None else module_tree(layers, depth)


def is_long(reading: Reading, updates: Span, layers: int) -> bool:
    """Whether these windows have more rows than are read for a picture."""
    first, last = reading.windows
    share = (updates[1] - updates[0] + 1) / (last - first + 1)
    return layers * ((reading.run.last_event or 0) + 1) * share > ROWS_AT_ONCE


def draw_map(
    reading: Reading, layers: list[str], choice: Choice, levels: Mapping[str, Level]
) -> tuple[Picture, Picture]:
    """Layers or groups over updates, and the strip beside them; their `record` is the `HeatMap` that is drawn."""
    return _draw_map(reading.stamp, reading, layers, choice, tuple(sorted(levels.items())))


def outlined(picture: Picture, layers: Sequence[str], updates: Span) -> Picture:
    """The same picture with a frame around a part of it."""
    return replace(picture, figure=with_outline(picture.figure, picture.record, layers, updates))


def draw_part(reading: Reading, groups: tuple[Group, ...], choice: Choice, updates: Span) -> Picture:
    """The micro-steps and updates behind a part of the map; `record` is a list of `Sawtooth`."""
    return _draw_part(
        reading.stamp, reading.run, groups, choice.statistic, reading.reach(updates), choice.language
    )


@st.cache_resource(max_entries=KEPT_MAPS, show_spinner=False)
def _draw_map(
    stamp: int,  # noqa: ARG001  # cache key
    _reading: Reading,
    _layers: list[str],  # follows from the choice
    choice: Choice,
    levels: tuple[tuple[str, Level], ...],
) -> tuple[Picture, Picture]:
    groups = groups_of(_layers, choice.depth)
    found = _heat_map(_reading, _layers, groups, choice)
    ranks = worst_levels(groups, dict(levels))
    found = ordered(found, choice.order, {name: level.rank for name, level in ranks.items()})
    if choice.order == "finding":
        found = replace(head(found, MOST_ROWS), layers_total=min(len(groups), MOST_ROWS))
    found = most_changing(found, MOST_ROWS)
    figure = plot_heat_map(
        found, relative=choice.relative, language=choice.language, hovered=HOVERED, selects=True
    )
    strip = plot_row_strip(found, levels=ranks, language=choice.language)
    return Picture.of(figure, found), Picture.of(strip, found)


def _heat_map(reading: Reading, layers: list[str], groups: tuple[Group, ...], choice: Choice) -> HeatMap:
    """From rows where they are few, else from blocks of 16 updates."""
    run, updates = reading.run, choice.updates
    columns = min(max(CELLS // max(len(groups), 1), LEAST_COLUMNS), MOST_COLUMNS)
    together, table = (None, None) if choice.depth is None else (groups, run.layers)
    if is_long(reading, updates, len(reading.layers)):
        wanted = block_columns(choice.statistic)
        blocks = narrowed(run.overview(updates=updates, columns=wanted, most_blocks=columns), layers, updates)
        return heat_map(blocks, statistic=choice.statistic, columns=columns, groups=together, table=table)
    wanted = [*NEEDED, choice.statistic]
    taken = run.gradients(layers=layers, updates=updates, phases="update", columns=wanted)
    return heat_map_of_updates(
        narrowed(taken, layers, updates),
        statistic=choice.statistic,
        columns=columns,
        events=events(reading.stamp, run, updates),
        groups=together,
        table=table,
    )


@st.cache_resource(max_entries=KEPT_MAPS, show_spinner=False)
def _draw_part(
    stamp: int, _run: Run, groups: tuple[Group, ...], statistic: Statistic, reach: Span, language: Language
) -> Picture:
    layers = tuple(layer for group in groups for layer in group.layers)
    taken = rows(stamp, _run, layers, reach)
    if len(layers) > len(groups):
        taken = rolled_up(taken, _run.layers, groups)
    extra = {"events": events(stamp, _run, reach), "segments": _run.segments}
    teeth = [
        thin_windows(
            sawtooth(taken, layer=group.name, statistic=statistic, **extra), points=POINTS // len(groups)
        )
        for group in groups
    ]
    return Picture.of(plot_sawtooth(teeth, log=True, language=language), teeth)
