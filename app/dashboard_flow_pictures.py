"""The pictures of the gradient-flow page, made once and kept until the run, the choice or the language changes."""

from __future__ import annotations

import streamlit as st
from dashboard_reading import KEPT, Picture, Question, Reading, rows
from dashboard_words import Language

from gradviz.analysis import (
    LayerFlow,
    Statistic,
    distribution,
    layer_flow,
)
from gradviz.figures import plot_distribution_ridge, plot_layer_flow
from gradviz.store import Run


def draw_flow(reading: Reading, event: int, update: int, question: Question) -> Picture:
    """All layers at one event."""
    return _draw_flow(
        reading.stamp, reading.run, event, update, question.statistic, question.log, question.language
    )


def draw_ridge(reading: Reading, layer: str, language: Language) -> Picture:
    """How the sizes of one layer's elements move over the whole run."""
    return _draw_ridge(reading.stamp, reading.run, layer, language)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_flow(
    stamp: int, _run: Run, event: int, update: int, statistic: Statistic, log: bool, language: Language
) -> Picture:
    taken = rows(stamp, _run, None, (update, update))
    record: LayerFlow = layer_flow(taken, event=event, statistic=statistic, layers=_run.layers)
    return Picture.of(plot_layer_flow(record, log=log, language=language), record)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _draw_ridge(stamp: int, _run: Run, layer: str, language: Language) -> Picture:  # noqa: ARG001  # cache key
    record = distribution(_run.distributions(layers=layer), layer=layer)
    return Picture.of(plot_distribution_ridge(record, language=language), record)
