"""Evidence as drawn: marks, limits, shelves, and a text for every quantity that a check may plot."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

import gradviz
from gradviz.analysis import EvidenceSeries
from gradviz.figures import plot_evidence
from gradviz.figures.palette import BLUE, RED
from gradviz.texts import LANGUAGES, catalogue, text
from tests.figures.test_every_figure import texts_of

CHECKS = sorted((Path(gradviz.__file__).parent / "diagnostics").glob("check_*.py"))


def over_updates(
    y: list[float], marked: list[int], quantity: str = "accumulated", **more: object
) -> EvidenceSeries:
    flags = np.isin(np.arange(len(y)), marked)
    x = np.arange(len(y), dtype=np.float64)
    return EvidenceSeries(quantity, "update", x, np.array(y, dtype=np.float64), flags, **more)  # type: ignore[arg-type]


def over_layers(y: list[float], names: list[str], **more: object) -> EvidenceSeries:
    none = np.zeros(len(y), dtype=np.bool_)
    x = np.arange(len(y), dtype=np.float64)
    return EvidenceSeries(
        "gradient_to_weight" if "limits" in more else "own",
        "layer",
        x,
        np.array(y),
        none,
        names=tuple(names),
        **more,
    )  # type: ignore[arg-type]


def sentence(figure: go.Figure) -> str:
    return str(figure.layout.title.subtitle.text).replace("<br>", " ")


def drawn(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if trace.name == name)


def quantities() -> set[tuple[str, int]]:
    """Every quantity that a check plots, with the number of its limits, read off the checks themselves."""
    found = set()
    for path in CHECKS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("over_updates", "over_layers", "EvidenceSeries"):
                limits = next((word.value for word in node.keywords if word.arg == "limits"), None)
                count = 2 if isinstance(limits, ast.Name) else len(limits.elts) if limits is not None else 0
                for constant in ast.walk(node.args[0] if called == "EvidenceSeries" else node.args[1]):
                    if isinstance(constant, ast.Constant) and constant.value != "norm":
                        found.add((constant.value, count))
    return found


def test_the_checks_plot_something() -> None:
    assert len(quantities()) > 20


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("quantity", "limits"), sorted(quantities()))
def test_every_quantity_has_its_words(quantity: str, limits: int, language: str) -> None:
    keys = [f"{part}.{quantity}" for part in ("title", "y", "read")]
    keys += [f"limit.{quantity}_{place}" for place in range(1, limits + 1)]
    assert [key for key in keys if f"figure.evidence.{key}" not in catalogue(language)] == []


def test_marked_points_are_red_and_counted() -> None:
    figure = plot_evidence(over_updates([1.0, 2.0, 30.0, 2.0], [2], log=True))
    marks = drawn(figure, text("figure.evidence.mark"))
    assert (marks.x.tolist(), marks.y.tolist(), marks.marker.color) == ([2], [30.0], RED)
    assert "1 of 4 updates are marked." in sentence(figure)


def test_what_is_not_finite_stands_above_all_numbers_and_unknown_leaves_a_gap() -> None:
    figure = plot_evidence(over_updates([1.0, np.nan, 2.0, np.nan], [3], log=True))
    line = drawn(figure, text("figure.evidence.y.accumulated"))
    assert np.isnan(line.y[[1, 3]]).all()
    marks = drawn(figure, text("figure.evidence.mark"))
    assert marks.x.tolist() == [3]
    shelf = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert marks.y.tolist() == [shelf["NaN·Inf"]]
    assert marks.y[0] > 2.0


def test_limits_are_lines_with_their_name_and_number() -> None:
    figure = plot_evidence(over_updates([0.2, 0.3], [0, 1], "gain", limits=(0.7, 1.0)))
    named = [trace for trace in figure.data if trace.textposition == "top left"]
    assert [trace.text[0] for trace in named] == ["conflict: 0.7", "independent: 1"]
    assert all(trace.marker.size > 4 and trace.marker.opacity == 0 for trace in named), "on its dashed line"
    lines = [trace.y.tolist() for trace in figure.data if trace.line.dash == "dash"]
    assert lines == [[0.7, 0.7], [1.0, 1.0]]
    low, high = figure.layout.yaxis.range
    assert low <= 0.2
    assert high > 1.0


def test_numbers_close_to_their_limit_get_an_axis_of_their_own() -> None:
    ratio = plot_evidence(over_updates([1.0, 1.02, 1.01], [1], "lr_span", limits=(1.0,)))
    assert ratio.layout.yaxis.range[0] > 0.9
    cosine = plot_evidence(over_updates([-0.4, 0.1], [], "least_cosine", limits=(1.0,)))
    assert cosine.layout.yaxis.range[0] < -0.4


def test_the_band_of_usual_steps_is_tinted() -> None:
    figure = plot_evidence(over_updates([0.5, 0.4], [0, 1], "update_ratio", limits=(1e-4, 2e-2), log=True))
    (band,) = (trace for trace in figure.data if trace.fill == "toself")
    assert (band.y.min(), band.y.max()) == (1e-4, 2e-2)


def test_layers_are_rows_and_the_concerned_ones_red() -> None:
    figure = plot_evidence(over_layers([0.1, 0.0, 0.3], ["a", "b", "c"]), layers=("c",))
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert bars.orientation == "h"
    assert list(bars.marker.color) == [BLUE, BLUE, RED]
    np.testing.assert_array_equal(bars.x, [0.1, np.nan, 0.3])
    zero = next(trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers")
    np.testing.assert_array_equal(zero.x, [np.nan, 0.0, np.nan])
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # input on top
    assert "1 of 3 layers are marked." in sentence(figure)


@pytest.mark.parametrize("limits", [(0.3,), (0.2, 0.3)])
def test_the_name_of_a_limit_lies_on_no_bar(limits: tuple[float, ...]) -> None:
    figure = plot_evidence(over_layers([1.0, 1.0, 1.0], ["a", "b", "c"], limits=limits))
    names = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text"]
    places = [float(name.y[0]) for name in names]
    assert len(places) == len(limits)
    half = 0.15  # of a row: the height of a letter
    bottom, top = figure.layout.yaxis.range
    assert all(top < place - half and place + half < bottom for place in places)
    assert all(place + half < -0.4 or place - half > 2.4 for place in places)


@pytest.mark.parametrize(("most", "side"), [(1.0, "right"), (0.31, "left")])
@pytest.mark.parametrize("log", [False, True])
def test_the_name_of_a_limit_stays_inside(most: float, side: str, log: bool) -> None:
    figure = plot_evidence(over_layers([most, 0.25], ["a", "b"], limits=(0.3,), log=log))
    (name,) = (trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text")
    assert name.textposition == f"middle {side}"


def test_a_thousand_layers_are_columns_with_few_names() -> None:
    names = [f"blocks.{place}.weight" for place in range(1000)]
    figure = plot_evidence(over_layers(list(np.linspace(0.1, 1, 1000)), names, log=True))
    assert len(figure.layout.xaxis.ticktext) <= 17
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert bars.text[-1] == names[-1]
    assert len(bars.y) == 1000


def test_thinning_is_said() -> None:
    figure = plot_evidence(over_updates(list(np.arange(1.0, 5001.0)), [7]))
    line = drawn(figure, text("figure.evidence.y.accumulated"))
    assert f"Showing {len(line.x)} of 5000 points" in sentence(figure)
    assert "1 of 5000 updates are marked." in sentence(figure)


def test_a_noise_scale_is_known_for_blocks_and_may_be_unresolved() -> None:
    series = over_updates([np.nan, 8.0, np.nan, np.inf], [1, 3], "noise_scale", limits=(32.0,), log=True)
    figure = plot_evidence(series)
    assert drawn(figure, text("figure.evidence.y.noise_scale")).x.tolist() == [1, 3]
    assert text("figure.evidence.unresolved") in figure.layout.yaxis.ticktext


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("y", [[], [np.nan, np.nan]], ids=["none", "unknown"])
def test_nothing_to_plot_is_a_sentence(y: list[float], language: str) -> None:
    figure = plot_evidence(over_updates(y, []), language=language)
    assert not figure.data
    assert figure.layout.annotations[0].text.replace("<br>", " ") == text("figure.evidence.empty", language)


def test_names_never_become_markup() -> None:
    names = ["<script>alert(1)</script>", "%{x} <b>bold</b> $a$", "\u202edrawkcab"]
    for words in texts_of(plot_evidence(over_layers([0.1, 0.2, 0.3], names), layers=names[:1])):
        assert "<script" not in words
        assert "<b>bold" not in words
        assert "\u202e" not in words
