"""Every picture on every odd input: it never raises, never stays silent, never carries markup from a name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from gradviz.analysis import build_up, layer_flow, sawtooth, waterfall
from gradviz.analysis.place_marks import PlaceMark
from gradviz.figures import plot_build_up, plot_layer_flow, plot_sawtooth, plot_waterfall
from gradviz.schema import Level
from gradviz.texts import LANGUAGES
from tests.reference_runs import reference_run

HOSTILE = (
    "<script>alert(1)</script>",
    "![](http://x) <b>%{x}</b> $a$",
    "\u202eשכבה 🎉 <a href='http://x'>y</a>",
)
THOUSAND = tuple(f"blocks.{place}.weight" for place in range(1000))


def all_nan() -> pd.DataFrame:
    return reference_run(windows=(3, 3), poison=(0, 1)).gradients()


def all_none() -> pd.DataFrame:
    frame = reference_run(windows=(3, 3)).gradients()
    frame.loc[:, ["mean_abs", "l2", "max_abs", "micro_mean_abs", "micro_l2", "micro_max_abs"]] = np.nan
    return frame.assign(nonfinite=pd.NA, micro_nonfinite=pd.NA).astype(
        {"nonfinite": "Int64", "micro_nonfinite": "Int64"}
    )


def all_zero() -> pd.DataFrame:
    frame = reference_run(windows=(3, 3)).gradients()
    frame.loc[:, ["mean_abs", "l2", "max_abs", "micro_mean_abs", "micro_l2", "micro_max_abs"]] = 0
    return frame


INPUTS: dict[str, Callable[[], pd.DataFrame]] = {
    "healthy": lambda: reference_run().gradients(),
    "empty": lambda: reference_run().gradients().iloc[:0],
    "no window": lambda: reference_run(windows=()).gradients(),
    "one event": lambda: reference_run().gradients().query("event == 1"),
    "only updates": lambda: reference_run().gradients().query("phase == 'update'"),
    "only resets": lambda: reference_run().gradients().query("phase == 'reset'"),
    "all NaN": all_nan,
    "all None": all_none,
    "all zero": all_zero,
    "one layer": lambda: reference_run(layers=("w",)).gradients(),
    "thousand layers": lambda: reference_run(windows=(2, 2), layers=THOUSAND).gradients(),
    "hostile names": lambda: reference_run(layers=HOSTILE).gradients(),
    "windows of one": lambda: reference_run(windows=(1, 1, 1)).gradients(),
    "never reset": lambda: reference_run(reset="never").gradients(),
}


@cache
def odd_input(name: str) -> pd.DataFrame:
    return INPUTS[name]()


def first_layer(frame: pd.DataFrame) -> str:
    return str(frame["layer"].cat.categories[0])


PICTURES: dict[str, Callable[[pd.DataFrame, str], go.Figure]] = {
    "sawtooth": lambda frame, language: plot_sawtooth(
        sawtooth(frame, layer=first_layer(frame)), language=language
    ),
    "sawtooth log": lambda frame, language: plot_sawtooth(
        [sawtooth(frame, layer=str(layer)) for layer in frame["layer"].cat.categories[:4]],
        log=True,
        language=language,
    ),
    "sawtooth panels": lambda frame, language: plot_sawtooth(
        [sawtooth(frame, layer=str(layer)) for layer in frame["layer"].cat.categories[:12]],
        panels=True,
        marks=[PlaceMark(0, 1, Level.WARNING, HOSTILE[1], HOSTILE), PlaceMark(1, None, Level.ERROR, "b")],
        language=language,
    ),
    "build-up": lambda frame, language: plot_build_up(build_up(frame), language=language),
    "build-up layer": lambda frame, language: plot_build_up(
        build_up(frame, layer=first_layer(frame)), language=language
    ),
    "waterfall": lambda frame, language: plot_waterfall(waterfall(frame, update=1), language=language),
    "waterfall layer": lambda frame, language: plot_waterfall(
        waterfall(frame, update=0, layer=first_layer(frame), statistic="mean_abs"), language=language
    ),
    "flow": lambda frame, language: plot_layer_flow(layer_flow(frame, event=1), language=language),
    "flow linear": lambda frame, language: plot_layer_flow(
        layer_flow(frame, event=2), log=False, orientation="horizontal", language=language
    ),
}


# each picture and each input in both languages, in turn: that both have the same holes is known of the catalogues
DRAWN = [
    (picture, odd, LANGUAGES[(place + number) % len(LANGUAGES)])
    for place, picture in enumerate(PICTURES)
    for number, odd in enumerate(INPUTS)
]


@pytest.mark.parametrize(("picture", "odd", "language"), DRAWN)
def test_a_picture_or_a_sentence(picture: str, odd: str, language: str) -> None:
    figure = PICTURES[picture](odd_input(odd), language)
    sentence = figure.layout.title.subtitle.text or figure.layout.annotations[0].text
    assert len(sentence) > 5
    assert figure.layout.title.text
    assert figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def texts_of(figure: go.Figure) -> list[str]:
    """Every text in the figure that Plotly would read as markup."""
    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
        elif isinstance(node, str):
            found.append(node)

    walk(json.loads(figure.to_json()))
    return found


@pytest.mark.parametrize("picture", PICTURES)
def test_names_never_become_markup(picture: str) -> None:
    ours = re.compile(r"</?(b|sub|br|extra)>|%\{(customdata(\[\d+\])?|x|y|text|hovertext)(:[^}]*)?\}")
    figure = PICTURES[picture](odd_input("hostile names"), "en")
    for words in texts_of(figure):
        rest = ours.sub("", words)
        assert not re.search(r"<\w|</|%\{|\$.*\$|\u202e", rest), words


@pytest.mark.parametrize("picture", PICTURES)
def test_series_are_numpy_arrays_in_plain_scatters(picture: str) -> None:
    figure = PICTURES[picture](odd_input("healthy"), "en")
    assert figure.data
    for trace in figure.data:
        assert trace.type in ("scatter", "bar")
        assert isinstance(trace.x, np.ndarray)
        assert isinstance(trace.y, np.ndarray)
