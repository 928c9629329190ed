"""What a comparison of two runs found, in sentences; the pictures and the command line say the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradviz.analysis.comparison import Comparison
from gradviz.analysis.comparison_scan import Difference
from gradviz.figures.numbers import number
from gradviz.texts import text

Name = Callable[[str], str]


def comparison_sentences(comparison: Comparison, language: str = "en", name: Name = str) -> list[str]:
    """Where two runs part and what that tells, or how far they are the same; `name` makes names safe to show."""
    difference = comparison.first_difference
    if difference is None:
        return [*_same(comparison, language), *_ends(comparison, language, name)]
    told = _alone if difference.only is not None else _apart
    return [
        told(comparison, difference, language, name),
        text(f"comparison.clue.{difference.clue}", language),
        *_losses(difference, language),
    ]


def _same(comparison: Comparison, language: str) -> list[str]:
    if not comparison.layers:
        return [text("comparison.no_layers", language)]
    if not comparison.compared:
        return [text("comparison.no_windows", language)]
    values = {
        "moments": comparison.compared,
        "layers": len(comparison.layers),
        "last": int(comparison.update[-1]),
    }
    if comparison.is_identical:
        return [text("comparison.identical", language, **values)]
    largest = float(comparison.largest.max())
    at = int(comparison.update[np.argmax(comparison.largest)])
    return [
        text(
            "comparison.within",
            language,
            **values,
            rtol=number(comparison.rtol),
            largest=number(largest),
            update=at,
        )
    ]


def _ends(comparison: Comparison, language: str, name: Name) -> list[str]:
    if not comparison.is_complete:
        return [text("comparison.incomplete", language)]
    first, last = comparison.updates
    if not comparison.compared or first == last:
        return []
    longer = comparison.runs[0 if first > last else 1]
    return [text("comparison.longer", language, run=name(longer), update=max(first, last))]


def _alone(comparison: Comparison, difference: Difference, language: str, name: Name) -> str:
    has, lacks = comparison.runs if difference.only == "first" else comparison.runs[::-1]
    moment = _moment(difference, language)
    return text(
        "comparison.alone",
        language,
        update=difference.update,
        moment=moment,
        has=name(has),
        lacks=name(lacks),
    )


def _apart(comparison: Comparison, difference: Difference, language: str, name: Name) -> str:
    return text(
        "comparison.apart",
        language,
        update=difference.update,
        moment=_moment(difference, language),
        layer=name(difference.layer),
        a=name(comparison.runs[0]),
        b=name(comparison.runs[1]),
        first=_value(difference.first, difference.first_nonfinite, language),
        second=_value(difference.second, difference.second_nonfinite, language),
        count=difference.layers,
        total=len(comparison.layers),
        rtol=number(comparison.rtol),
    )


def _losses(difference: Difference, language: str) -> list[str]:
    first, second = difference.losses
    if not np.isfinite([first, second]).all():
        return []
    if first == second:
        return [text("comparison.same_loss", language, loss=number(first))]
    return [
        text("comparison.losses", language, first=_precise(first, second), second=_precise(second, first))
    ]


def _precise(value: float, other: float) -> str:
    """As many digits as tell the two apart."""
    return number(value) if number(value) != number(other) else f"{value:.9g}"


def _moment(difference: Difference, language: str) -> str:
    return text(f"comparison.moment.{difference.phase}", language, k=difference.micro_step)


def _value(value: float, nonfinite: int, language: str) -> str:
    if nonfinite < 0:
        return text("comparison.no_gradient", language)
    return text("comparison.not_finite", language) if nonfinite > 0 else f"{value:.6g}"
