"""The window ledger as a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.story_ledger import StoryLedger, few_windows, story_ledger
from gradviz.figures.numbers import number
from gradviz.reporting.findings import scrolling
from gradviz.reporting.markup import Html, element, joined
from gradviz.texts import text

if TYPE_CHECKING:
    from gradviz.analysis import RunStory
    from gradviz.diagnostics import Diagnosis

WINDOWS = 120
NUMBERS = ("loss", "weight", "lr", "amp_scale", "norm", "clip", "coherence", "residual")
HEADS = {"norm": "l2"}  # names of the catalogue that differ


def ledger_section(story: RunStory, diagnosis: Diagnosis, language: str) -> Html:
    """One row a window; of a long run the first, the last, those that findings name, and odd ones."""
    whole = story_ledger(story)
    named = np.array([one.update for one in diagnosis.findings if one.update is not None], dtype=np.int64)
    shown = few_windows(whole, WINDOWS, named)
    counts = {"shown": len(shown.update), "total": whole.windows_total, "count": whole.windows_total}
    key = "all" if len(shown.update) == whole.windows_total else "some"
    return joined(
        element("p", text(f"report.ledger.{key}", language, **counts), class_="dim"),
        scrolling(_table(shown, language)),
    )


def _table(ledger: StoryLedger, language: str) -> Html:
    known = [name for name in NUMBERS if not np.isnan(getattr(ledger, name)).all()]
    heads = [
        _head("update", language, "number"),
        _head("length", language, "number"),
        _head("consumed", language),
        *(_head(HEADS.get(name, name), language, "number") for name in known),
        element("th", text("report.ledger.marks", language)),
    ]
    rows = [
        row
        for place in range(len(ledger.update))
        for row in (
            *([_break(len(heads))] if place and ledger.place[place] > ledger.place[place - 1] + 1 else []),
            _row(ledger, place, known, language),
        )
    ]
    return element("table", element("thead", element("tr", *heads)), element("tbody", *rows))


def _break(columns: int) -> Html:
    """Windows that are left out here: a gap is visible."""
    return element("tr", element("td", "⋮", colspan=str(columns)))


def _head(name: str, language: str, kind: str = "") -> Html:
    return element("th", text(f"app.ledger.{name}", language), class_=kind or False)


def _row(ledger: StoryLedger, place: int, known: list[str], language: str) -> Html:
    outcome = "skipped" if ledger.skipped[place] else str(bool(ledger.consumed[place])).lower()
    is_nan = {"loss": ledger.loss_is_nan[place], "norm": ledger.broken[place]}
    numbers = (_shown(float(getattr(ledger, name)[place]), is_nan.get(name, False)) for name in known)
    return element(
        "tr",
        element("td", str(ledger.update[place]), class_="number"),
        element("td", str(ledger.length[place]), class_="number"),
        element("td", text(f"app.consumed.{outcome}", language)),
        *(element("td", cell, class_="number") for cell in numbers),
        element("td", _remarks(ledger, place, language)),
    )


def _shown(value: float, is_nan: bool) -> str:
    return number(value) if is_nan or not math.isnan(value) else ""


def _remarks(ledger: StoryLedger, place: int, language: str) -> str:
    remarks: dict[str, Callable[[], bool]] = {
        "app.reset.not_reset": lambda: bool(ledger.residual[place] > 0),
        "report.ledger.broken": lambda: bool(ledger.broken[place]),
        "report.ledger.edited": lambda: bool(ledger.edited[place]),
    }
    return text("figure.word.comma", language).join(
        text(key, language) for key, holds in remarks.items() if holds()
    )
