"""The pictures of the gradient-flow page, made once and kept until the run, the choice or the language changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import streamlit as st
from dashboard_flow_moments import Film, Moment
from dashboard_reading import KEPT, Picture, Question, Reading, rows
from dashboard_words import Language

from gradviz.analysis import (
    LayerFacts,
    LayerFlow,
    Statistic,
    distribution,
    flow_change,
    layer_facts,
    layer_flow,
    only_weights,
    update_ratio,
)
from gradviz.figures import (
    plot_distribution_ridge,
    plot_flow_change,
    plot_layer_flow,
    plot_layer_flow_play,
    plot_update_ratio,
)
from gradviz.store import Run

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["all", "weights"]
COMPARED = 24  # moments of a window that its axis is made for; a longer window is looked at here and there


def draw_flow(
    reading: Reading, moment: Moment, among: Sequence[Moment], kind: Kind, question: Question
) -> Picture:
    """All layers at one moment, on an axis that fits all moments of its window but the reset, which has none."""
    every = -(-len(among) // COMPARED)
    window = (moment.event, *(one.event for one in among[::-every] if one.name != "reset"))
    return _draw_flow(reading.stamp, reading.run, window, moment.update, kind, question)


def draw_pair(
    reading: Reading, before: Moment, after: Moment, kind: Kind, question: Question
) -> tuple[Picture, Picture]:
    """Two moments on one axis."""
    return _draw_pair(reading.stamp, reading.run, before, after, kind, question)


def draw_change(reading: Reading, before: Moment, after: Moment, kind: Kind, question: Question) -> Picture:
    """What became of each layer from one moment to the other."""
    return _draw_change(reading.stamp, reading.run, before, after, kind, question)


def draw_film(reading: Reading, film: Film, kind: Kind, question: Question) -> Picture:
    """Many moments, to be played in the browser."""
    return _draw_film(reading.stamp, reading.run, film, kind, question)


def draw_update_ratio(reading: Reading, layers: tuple[str, ...], language: Language) -> Picture:
    """How far updates move the weights, over the whole run."""
    return _draw_update_ratio(reading.stamp, reading.run, layers, language)


def draw_ridge(reading: Reading, layer: str, language: Language) -> Picture:
    """How the sizes of one layer's elements move over the whole run."""
    return _draw_ridge(reading.stamp, reading.run, layer, language)


def facts_at(reading: Reading, moment: Moment, kind: Kind) -> LayerFacts:
    """Everything known of each layer at a moment."""
    return _facts(reading.stamp, reading.run, moment.event, moment.update, kind)


def has_other_layers(reading: Reading) -> bool:
    """Whether the model has layers beside its weights, and weights beside them."""
    return layer_count(reading, "weights") < layer_count(reading, "all")


def layer_count(reading: Reading, kind: Kind) -> int:
    """How many layers a picture of this kind has."""
    return len(_layers(reading.stamp, reading.run, kind))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _layers(stamp: int, _run: Run, kind: Kind) -> pd.DataFrame:  # noqa: ARG001  # cache key
    return _run.layers if kind == "all" else only_weights(_run.layers)


@st.cache_resource(max_entries=4 * KEPT, show_spinner=False)
def _flow(
    stamp: int, _run: Run, event: int, windows: tuple[int, int], kind: Kind, statistic: Statistic
) -> LayerFlow:
    taken = rows(stamp, _run, None, windows)
    return layer_flow(taken, event=event, statistic=statistic, layers=_layers(stamp, _run, kind))


@st.cache_resource(max_entries=4 * KEPT, show_spinner=False)
def _facts(
    stamp: int, _run: Run, event: int, update: int, kind: Kind, windows: tuple[int, int] | None = None
) -> LayerFacts:
    taken = rows(stamp, _run, None, windows or (update, update))
    return layer_facts(taken, event=event, layers=_layers(stamp, _run, kind))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_flow(
    stamp: int, _run: Run, window: tuple[int, ...], update: int, kind: Kind, question: Question
) -> Picture:
    record, *among = (
        _flow(stamp, _run, event, (update, update), kind, question.statistic) for event in window
    )
    facts = _facts(stamp, _run, window[0], update, kind)
    figure = plot_layer_flow(record, log=question.log, facts=facts, among=among, language=question.language)
    return Picture.of(figure, record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_pair(
    stamp: int, _run: Run, before: Moment, after: Moment, kind: Kind, question: Question
) -> tuple[Picture, Picture]:
    moments = (before, after)
    flows = [_of(stamp, _run, moment, kind, question) for moment in moments]
    pictures = [
        Picture.of(
            plot_layer_flow(
                flow,
                log=question.log,
                facts=_facts(stamp, _run, moment.event, moment.update, kind),
                among=flows,
                language=question.language,
            ),
            flow,
        )
        for flow, moment in zip(flows, moments, strict=True)
    ]
    return pictures[0], pictures[1]


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_change(
    stamp: int, _run: Run, before: Moment, after: Moment, kind: Kind, question: Question
) -> Picture:
    record = flow_change(*(_of(stamp, _run, moment, kind, question) for moment in (before, after)))
    return Picture.of(plot_flow_change(record, language=question.language), record)


def _of(stamp: int, run: Run, moment: Moment, kind: Kind, question: Question) -> LayerFlow:
    return _flow(stamp, run, moment.event, (moment.update, moment.update), kind, question.statistic)


@st.cache_resource(max_entries=8, show_spinner=False)
def _draw_film(stamp: int, _run: Run, film: Film, kind: Kind, question: Question) -> Picture:
    windows = (film.moments[0].update, film.moments[-1].update)
    flows = [_flow(stamp, _run, moment.event, windows, kind, question.statistic) for moment in film.moments]
    facts = [_facts(stamp, _run, moment.event, moment.update, kind, windows) for moment in film.moments]
    moments = list(zip(flows, facts, strict=True))
    figure = plot_layer_flow_play(moments, start=film.start, log=question.log, language=question.language)
    return Picture.of(figure, flows)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_update_ratio(stamp: int, _run: Run, layers: tuple[str, ...], language: Language) -> Picture:  # noqa: ARG001
    record = update_ratio(_run)
    return Picture.of(plot_update_ratio(record, layers=layers, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_ridge(stamp: int, _run: Run, layer: str, language: Language) -> Picture:  # noqa: ARG001  # cache key
    record = distribution(_run.distributions(layers=layer), layer=layer)
    return Picture.of(plot_distribution_ridge(record, language=language), record)
