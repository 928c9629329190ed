"""The words of a figure as plain letters, for places that show them outside the picture."""

from __future__ import annotations

import html
import re
from typing import Any

import plotly.graph_objects as go


def words_of(figure: go.Figure) -> tuple[str, str]:
    """Title and sentence of a figure without markup; of one that shows nothing, its reason."""
    title = figure.layout.title
    if figure.data:
        return _plain(title.text), _plain(title.subtitle.text)
    return _plain(title.text), " ".join(_plain(annotation.text) for annotation in figure.layout.annotations)


def without_words(figure: go.Figure) -> go.Figure:
    """The same figure without title and sentence, for a page that shows them as text of its own."""
    bare: dict[str, Any] = {"text": "", "subtitle": {"text": ""}}
    return go.Figure(figure).update_layout(title=bare, margin={"t": 16})


def _plain(markup: str | None) -> str:
    """Plotly knows a few tags; names in it are entities."""
    return html.unescape(re.sub(r"<[^>]*>", " ", markup or "")).strip()
