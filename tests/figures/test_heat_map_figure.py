"""The heat map as drawn: one trace of whole numbers, shelves for what is no number, and few bytes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from gradviz.analysis import HeatMap, heat_map_of_updates
from gradviz.figures import plot_heat_map, plot_row_strip
from gradviz.figures.heat_map_strip import with_outline
from gradviz.schema import Level
from gradviz.texts import LANGUAGES, text
from tests.figures.test_every_figure import INPUTS, odd_input, texts_of


def random_map(layers: int, columns: int) -> HeatMap:
    total = np.random.default_rng(0).lognormal(size=(layers, columns))
    ones = np.ones((layers, columns), dtype=np.int64)
    updates = np.arange(columns)
    names = tuple(f"blocks.{place}.weight" for place in range(layers))
    return HeatMap(names, "l2", updates, updates, total, total, ones, 0 * ones, layers)


def made_map(value: list[list[float]]) -> HeatMap:
    cells = np.array(value, dtype=float)
    plain = random_map(*cells.shape)
    return replace(plain, value=cells, total=cells)


def odd_map() -> HeatMap:
    """Cell (0, 0) is zero, (1, 0) not finite, (2, 0) without a gradient."""
    plain = random_map(4, 6)
    value, count, broken = plain.value.copy(), plain.count.copy(), plain.nonfinite.copy()
    value[0, 0] = 0
    value[1:3, 0] = np.nan
    count[1:3, 0] = 0
    broken[1, 0] = 1
    return replace(plain, value=value, total=np.nan_to_num(value), count=count, nonfinite=broken)


def colour_of(figure: go.Figure, row: int, column: int) -> str:
    """The colour of a cell on a flat band of the scale; empty on the ramp."""
    trace = figure.data[0]
    place = (float(trace.z[row, column]) - trace.zmin) / (trace.zmax - trace.zmin)
    scale = trace.colorscale
    for (low, below), (high, above) in pairwise(scale):
        if low < place < high and below == above:
            return str(below)
    return ""


def test_zero_missing_and_nan_have_colours_of_their_own() -> None:
    figure = plot_heat_map(odd_map())
    shelves = [colour_of(figure, row, 0) for row in range(3)]
    assert len(set(shelves)) == 3
    assert all(shelves)
    assert [colour_of(figure, row, 1) for row in range(4)] == [""] * 4
    named = list(figure.data[0].colorbar.ticktext)
    assert [text(f"figure.heat_map.{name}") for name in ("zero", "broken", "missing")] == named[:3]


@pytest.mark.parametrize("hovered", [0, 100], ids=["bytes", "thousandths"])
@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_numbers_do_not_look_like_what_is_none(seed: int, hovered: int) -> None:
    value = np.random.default_rng(seed).lognormal(sigma=0.2 * (seed + 1), size=(4, 6))
    value[1, 0] = np.nan
    found = replace(odd_map(), value=value, total=np.nan_to_num(value))
    trace = plot_heat_map(found, hovered=hovered).data[0]
    below = max(place for (place, colour), (_, above) in pairwise(trace.colorscale) if colour == above)
    edge = max(place for place, _ in trace.colorscale if place < 0.5)
    assert below < edge
    numbers = (trace.z[np.isfinite(value)].astype(float) - trace.zmin) / (trace.zmax - trace.zmin)
    assert numbers.min() > edge


def test_shelves_that_nobody_stands_on_are_not_drawn() -> None:
    figure = plot_heat_map(random_map(3, 5))
    assert not {text(f"figure.heat_map.{name}") for name in ("zero", "broken", "missing")} & set(
        figure.data[0].colorbar.ticktext
    )


def test_the_level_is_the_decade_against_the_median() -> None:
    found = random_map(3, 40)
    level = plot_heat_map(found).data[0].z
    assert level.dtype == np.int16
    expected = np.clip(1000 * np.log10(found.value / np.median(found.value, axis=1)[:, None]), -2000, 2000)
    reach = plot_heat_map(found).data[0].zmax
    np.testing.assert_allclose(level, np.clip(expected, -reach, reach), atol=1)


def test_absolute_sizes_use_the_whole_scale() -> None:
    found = random_map(3, 40)
    trace = plot_heat_map(found, relative=False).data[0]
    np.testing.assert_allclose(trace.z, 1000 * np.log10(found.value), atol=1)
    assert trace.colorscale[0][1] != plot_heat_map(found).data[0].colorscale[0][1]


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("decade", [-44, 0, 37])
def test_the_colour_scale_ascends_from_0_to_1_however_small_the_numbers(decade: int, relative: bool) -> None:
    found = odd_map()
    figure = plot_heat_map(replace(found, value=found.value * 10.0**decade), relative=relative)
    places = [place for place, _ in figure.data[0].colorscale]
    assert places[0] == 0
    assert places[-1] == 1
    assert places == sorted(places)


@pytest.mark.parametrize(("layers", "columns"), [(250, 1000), (1000, 250), (250, 240)])
@pytest.mark.parametrize("relative", [True, False])
def test_as_many_cells_as_the_page_shows_fit_in_1200_kilobytes(
    layers: int, columns: int, relative: bool
) -> None:
    figure = plot_heat_map(random_map(layers, columns), relative=relative, hovered=60_000, selects=True)
    assert len(figure.to_json().encode()) < 1_200_000


def test_a_large_map_tells_colours_in_bytes_and_ratios_in_per_cent() -> None:
    found = random_map(30, 40)
    exact, rough = plot_heat_map(found).data[0], plot_heat_map(found, hovered=0).data[0]
    assert rough.z.dtype == np.uint8
    assert (rough.zmin, rough.zmax) == (0, 255)
    share = (exact.z - exact.zmin) / (exact.zmax - exact.zmin)
    np.testing.assert_allclose(rough.z / 255, share, atol=0.003)
    np.testing.assert_allclose(rough.customdata, 100 * found.ratio, atol=0.51)
    np.testing.assert_allclose(exact.customdata, np.stack([found.value, found.ratio], axis=-1), rtol=1e-6)


@pytest.mark.parametrize("hovered", [0, 1000])
def test_shelves_of_large_and_small_maps(hovered: int) -> None:
    figure = plot_heat_map(odd_map(), hovered=hovered)
    assert len({colour_of(figure, row, 0) for row in range(3)} - {""}) == 3


def test_what_an_older_overview_cannot_tell_is_missing() -> None:
    found = odd_map()
    value = found.value.copy()
    value[3, 3] = np.nan
    figure = plot_heat_map(replace(found, value=value))
    assert colour_of(figure, 3, 3) == colour_of(figure, 2, 0) != ""


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [([0, 10, 20], [0, 10, 20], [0, 10, 20]), ([0, 16, 40], [15, 31, 45], [7.5, 23.5, 42.5])],
)
def test_a_column_stands_at_its_updates(first: list[int], last: list[int], expected: list[float]) -> None:
    found = replace(random_map(2, 3), first_update=np.array(first), last_update=np.array(last))
    assert plot_heat_map(found).data[0].x.tolist() == expected


@pytest.mark.parametrize("statistic", ["mean_abs", "l2", "max_abs"])
@pytest.mark.parametrize("each", [1, 16])
def test_what_a_cell_of_a_group_is_is_said(statistic: str, each: int) -> None:
    found = replace(random_map(2, 3), statistic=statistic, sizes=np.array([3, 4]))
    found = replace(found, last_update=found.first_update + each - 1)
    many = "many" if each > 1 else "one"
    expected = text(f"figure.heat_map_cell.group_{many}_{statistic}", each=each)
    assert expected in plot_heat_map(found).layout.title.subtitle.text.replace("<br>", " ")


def test_the_strip_has_a_mark_for_each_row() -> None:
    found = made_map([[1, 1, 1, 1], [1, 1, 10, 1], [1, 1, 0, 1], [1, 1, 1, 1]])
    broken = found.nonfinite.copy()
    broken[3, 1] = 1
    found = replace(found, nonfinite=broken, sizes=np.array([1, 2, 3, 40]))
    figure = plot_row_strip(found, levels={found.layers[1]: Level.ERROR})
    strip = figure.data[0]
    assert list(strip.y) == [0, 1, 2, 3]
    np.testing.assert_allclose(strip.x[:2], [0, 1])
    assert 1 < strip.x[2] < strip.x[3]
    assert strip.marker.color[0] == strip.marker.color[2]
    assert len({strip.marker.color[row] for row in (0, 1, 3)}) == 3
    assert strip.marker.symbol[0] == strip.marker.symbol[3] != strip.marker.symbol[1]
    assert "40 layers" in strip.customdata[3][0]
    assert [line[2] for line in strip.customdata[:2]] == ["×1", "×10"]


def test_the_strip_stands_beside_its_map_row_by_row() -> None:
    for rows in (3, 30, 900):
        found = random_map(rows, 4)
        beside, strip = plot_heat_map(found, selects=True).layout, plot_row_strip(found).layout
        assert beside.height == strip.height
        assert beside.yaxis.range == strip.yaxis.range
        assert beside.yaxis.fixedrange
        assert strip.yaxis.fixedrange
        assert (beside.margin.t, beside.margin.b)[1] == strip.margin.b
        assert beside.dragmode == "select"
        assert "select2d" not in beside.modebar.remove


def test_a_frame_around_a_part() -> None:
    found = random_map(5, 20)
    figure = plot_heat_map(found)
    framed = with_outline(figure, found, [found.layers[3], found.layers[1]], (4, 7))
    shape = framed.layout.shapes[0]
    assert (shape.x0, shape.x1, shape.y0, shape.y1) == (3.5, 7.5, 0.5, 3.5)
    assert not figure.layout.shapes
    assert with_outline(figure, found, ["elsewhere"], (4, 7)) is figure


def test_rows_are_called_by_their_names_at_the_axis_and_in_the_hover() -> None:
    found = random_map(3, 5)
    axis = plot_heat_map(found).layout.yaxis
    assert axis.labelalias == {
        alias: name for row, name in enumerate(found.layers) for alias in (f"{row}", f"{row}.0")
    }


def test_the_hover_has_the_whole_of_a_name_that_the_axis_has_no_room_for() -> None:
    name = "encoder.blocks.11.attention.projection.weight"
    found = replace(random_map(1, 5), layers=(name,))
    axis = plot_heat_map(found).layout.yaxis
    assert (axis.tickformat, axis.hoverformat) == ("d", ".1f")
    assert axis.labelalias == {"0": "e.b.11.a.p.weight", "0.0": name}


def test_merged_columns_thinned_layers_and_broken_cells_are_said() -> None:
    found = replace(odd_map(), last_update=odd_map().first_update + 15, layers_total=900)
    sentence = plot_heat_map(found).layout.title.subtitle.text.replace("<br>", " ")
    assert "the mean of up to 16 updates" in sentence
    assert "the 4 of 900 layers" in sentence
    assert "Cells with NaN or Inf: 1" in sentence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("odd", INPUTS)
def test_a_picture_or_a_sentence(odd: str, language: str) -> None:
    figure = plot_heat_map(heat_map_of_updates(odd_input(odd)), language=language)
    assert len(figure.layout.title.subtitle.text or figure.layout.annotations[0].text) > 5


def test_names_never_become_markup() -> None:
    for words in texts_of(plot_heat_map(heat_map_of_updates(odd_input("hostile names")))):
        assert "<script" not in words
        assert "<a href" not in words
        assert "\u202e" not in words


@pytest.mark.parametrize(
    ("last_update", "centre"), [(12, 13.5), (15, 13.5), (99, 55.5)], ids=["shorter", "as long", "longer"]
)
def test_a_last_column_of_fewer_updates_is_as_wide_as_the_others(last_update: int, centre: float) -> None:
    ends = np.array([3, 7, 11, last_update])
    found = replace(random_map(3, 4), first_update=np.array([0, 4, 8, 12]), last_update=ends)
    assert plot_heat_map(found).data[0].x.tolist() == [1.5, 5.5, 9.5, centre]


def test_margins_have_room_for_the_longest_name() -> None:
    short = plot_heat_map(replace(random_map(2, 3), layers=("a", "b"))).layout.margin.l
    long = plot_heat_map(replace(random_map(2, 3), layers=("a", "b" * 200))).layout.margin.l
    assert short < long < 200
