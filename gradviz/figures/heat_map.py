"""The heat map: layers by updates; where and when does the gradient change?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradviz.analysis.heat_map import HeatMap
from gradviz.figures.canvas import blank, hover, sheet
from gradviz.figures.heat_map_colours import Colours
from gradviz.figures.names import axis_name, hovered_name
from gradviz.figures.numbers import number_format
from gradviz.texts import joined, text

ROWS = 40  # names at an axis
LETTERS = 20  # of a name at the axis: a narrow window has room for cells, too
LETTER = 5.3  # pixels
ROW_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT = 18, 300, 760
HOVERED = (
    20_000  # cells that carry their exact numbers for the hover; of more, only whole per cents of the median
)
PERCENT = np.iinfo(np.uint16).max


def plot_heat_map(
    heat_map: HeatMap,
    *,
    relative: bool = True,
    language: str = "en",
    hovered: int = HOVERED,
    selects: bool = False,
) -> go.Figure:
    """Every layer over all updates. `relative`: against the layer's own median, else the size itself.

    *How to read it*: layers from the top, updates from the left. Red cells are larger than the layer usually is, blue
    ones smaller; a red column is an update at which everything grew, a blue row end is a layer that starves. Yellow
    cells are exactly zero, purple ones hold NaN or Inf, grey ones have no gradient.

    *Requires*: updates that were recorded. Absolute norms show little but which layers are large.

    Args:
        hovered: number of cells up to which the hover tells exact values: they are 8 more bytes a cell.
        selects: dragging takes a box instead of zooming, and rows stay where they are, beside a strip of them.
    """
    title = text(
        "figure.heat_map.title", language, statistic=text(f"figure.statistic.{heat_map.statistic}", language)
    )
    if not (heat_map.count + heat_map.nonfinite).any():
        return blank(title, "figure.heat_map.empty", language)
    figure = sheet(title, _sentence(heat_map, relative, language), height=height_of(heat_map))
    is_exact = heat_map.value.size <= hovered
    colours = Colours(heat_map, relative, language, fine=is_exact)
    figure.add_trace(_cells(heat_map, colours, language, is_exact=is_exact))
    room = _room(heat_map, colours.bar())
    figure.update_layout(yaxis=_layer_axis(heat_map), hovermode="closest", margin=room)
    figure.update_xaxes(title_text=text("figure.heat_map.x", language), showgrid=False)
    if selects:
        buttons = [one for one in figure.layout.modebar.remove if one != "select2d"]
        figure.update_layout(
            dragmode="select", modebar={"remove": buttons, "add": ["select2d"]}, yaxis={"fixedrange": True}
        )
        figure.update_xaxes(automargin=False)
    return figure


def height_of(heat_map: HeatMap) -> int:
    """Pixels of the whole picture: rows have their names while that is not too high."""
    return min(MOST_HEIGHT, max(LEAST_HEIGHT, 150 + ROW_HEIGHT * len(heat_map.layers)))


def _sentence(heat_map: HeatMap, relative: bool, language: str) -> str:
    counts = {"each": heat_map.updates_a_column}
    sentences = [
        text(f"figure.heat_map.{'relative' if relative else 'absolute'}", language),
        text(f"figure.heat_map_cell.{_kind_of_cell(heat_map)}", language, **counts),
    ]
    if len(heat_map.layers) < heat_map.layers_total:
        shown = {"shown": len(heat_map.layers), "total": heat_map.layers_total}
        key = "thinned" if heat_map.sizes is None else "thinned_groups"
        sentences.append(text(f"figure.heat_map.{key}", language, **shown))
    if heat_map.broken.any():
        sentences.append(text("figure.heat_map.nonfinite", language, count=int(heat_map.broken.sum())))
    return joined(sentences, language)


def _kind_of_cell(heat_map: HeatMap) -> str:
    many = "many" if heat_map.updates_a_column > 1 else "one"
    if heat_map.sizes is not None:
        return f"group_{many}_{heat_map.statistic}"
    if many == "one":
        return "layer_one"
    return "layer_many_max" if heat_map.statistic == "max_abs" else "layer_many_mean"


def _room(heat_map: HeatMap, bar: dict[str, Any]) -> dict[str, float]:
    """For the names and the colour bar. Where it is too little it grows, and all cells are drawn once more."""
    longest = max(len(axis_name(name, LETTERS)) for name in heat_map.layers)
    beside = max(bar["thickness"] + 4 + LETTER * _width(tick) for tick in bar["ticktext"])
    above = 1.2 * LETTER * _width(bar["title"]["text"])
    return {"l": 14 + LETTER * longest, "r": 2 * bar["xpad"] + 4 + max(beside, above)}


def _width(words: str) -> float:
    """In letters; Chinese ones are twice as wide."""
    return sum(2 if letter >= "\u2e80" else 1 for letter in words)


def _layer_axis(heat_map: HeatMap) -> dict[str, object]:
    """Rows are numbers whose labels are names: zooming in shows more of them.

    One table has both: a row is written `7` at the axis, which has room for the end of a name, and `7.0` in the hover.
    """
    count = len(heat_map.layers)
    short = {str(row): axis_name(name, LETTERS) for row, name in enumerate(heat_map.layers)}
    whole = {f"{row}.0": hovered_name(name) for row, name in enumerate(heat_map.layers)}
    return {
        "nticks": min(count, ROWS) + 1,
        "tick0": 0,
        "tickformat": "d",
        "hoverformat": ".1f",
        "labelalias": short | whole,
        **({"dtick": 1} if count <= ROWS else {}),
        "tickfont": {"size": 11},
        "range": [count - 0.5, -0.5],
        "showgrid": False,
        "automargin": True,
    }


def _cells(heat_map: HeatMap, colours: Colours, language: str, *, is_exact: bool) -> go.Heatmap:
    return go.Heatmap(
        x=_evenly((heat_map.first_update + heat_map.last_update) / 2),
        y=np.arange(len(heat_map.layers)),
        z=colours.levels(),
        zmin=colours.least,
        zmax=colours.most,
        colorscale=colours.scale(),
        colorbar=colours.bar(),
        ygap=1 if len(heat_map.layers) <= ROWS else 0,
        **(_exact if is_exact else _rough)(heat_map, language),
    )


def _evenly(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centres of columns of which the last may stand for fewer updates: drawn as wide as the others.

    Plotly draws columns that are not all of one width cell by cell, which takes a browser half a second longer.
    """
    gaps = np.diff(centres)
    if len(gaps) < 2 or (gaps[:-1] != gaps[0]).any() or gaps[-1] > gaps[0]:
        return centres
    even: NDArray[np.float64] = centres[0] + gaps[0] * np.arange(len(centres))
    return even


def _exact(heat_map: HeatMap, language: str) -> dict[str, object]:
    """What the hover says of each cell: 8 bytes."""
    form = number_format(heat_map.value)
    fields = [
        _update(heat_map, language),
        (text("figure.heat_map.value", language), f"%{{customdata[0]:{form}}}"),
        (text("figure.heat_map.ratio", language), "×%{customdata[1]:.3~g}"),
    ]
    numbers = np.stack([heat_map.value, heat_map.ratio], axis=-1).astype(np.float32)
    return {"customdata": numbers, "hovertemplate": hover("%{y}", fields)}


def _rough(heat_map: HeatMap, language: str) -> dict[str, object]:
    """The same in 2 bytes: a hover can print a whole number, and cannot calculate."""
    fields = [_update(heat_map, language), (text("figure.heat_map.ratio", language), "%{customdata} %")]
    return {"customdata": _percent(heat_map), "hovertemplate": hover("%{y}", fields)}


def _percent(heat_map: HeatMap) -> NDArray[np.uint16]:
    percent = np.rint(np.clip(np.nan_to_num(heat_map.ratio), 0, PERCENT) * 100)
    return np.asarray(np.minimum(percent, PERCENT), dtype=np.uint16)


def _update(heat_map: HeatMap, language: str) -> tuple[str, str]:
    span = heat_map.updates_a_column
    half = f" ± {span // 2}" if span > 1 else ""
    return text("figure.word.update", language), f"%{{x:.0f}}{half}"
