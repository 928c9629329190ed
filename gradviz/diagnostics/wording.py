"""Findings in words: rendered from code and evidence when they are shown, in any language of the texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradviz.diagnostics.findings import Diagnosis, Evidence, Finding
from gradviz.texts import catalogue, joined, text

SHOWN_NAMES = 4


@dataclass(frozen=True)
class Wording:
    """A finding as a person reads it. `why` holds the evidence; `paste` is code to paste."""

    level: str
    title: str
    meaning: str
    why: str
    advice: str
    paste: str


def wording(finding: Finding, language: str = "en") -> Wording:
    """The sentences of a finding. Names in them come from the run: escape them as the place of display demands."""
    key = f"diagnosis.{finding.code}"
    why = text(why_key(finding), language).format(**values_of(finding, language))
    evidence = values_of(finding, language)
    return Wording(
        level=text(f"diagnosis.level.{finding.level}", language),
        title=text(f"{key}.title", language),
        meaning=text(f"{key}.meaning", language).format(**evidence),
        why=why,
        advice=text(f"{key}.advice", language).format(**evidence),
        paste=text(f"{key}.code", language).strip("\n"),
    )


def why_key(finding: Finding) -> str:
    """Key of the sentence that gives the evidence; some codes have one for each way in which they are found."""
    how = finding.evidence.get("how")
    return f"diagnosis.{finding.code}.why" + (f"_{how}" if how is not None else "")


def values_of(finding: Finding, language: str = "en") -> dict[str, str]:
    """What the sentences of a finding name: its evidence, `names`, `update` and `micro_step`, formatted."""
    values = {name: shown(name, value, language) for name, value in finding.evidence.items()}
    for name, place in (("update", finding.update), ("micro_step", finding.micro_step)):
        values.setdefault(name, text("diagnosis.word.none_known", language) if place is None else str(place))
    return {"names": _names(finding.layers, language), **values}


def shown(name: str, value: Evidence, language: str = "en") -> str:
    """One number of the evidence as text; a name that ends in `_share` is a fraction."""
    if isinstance(value, str):
        return _unit(value, language) if name == "unit" else value
    if isinstance(value, tuple):
        return _names(value, language)
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return text("diagnosis.word.none_known", language)
    return f"{number(100 * value)} %" if name.endswith("_share") else number(value)


def number(value: float) -> str:
    """Three significant digits, without an exponent where a person would not write one."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
        return str(np.format_float_positional(value, precision=digits, trim="-"))
    return f"{value:.2e}".replace("e-0", "e-").replace("e+", "e").replace("e0", "e")


def _unit(unit: str, language: str) -> str:
    return text(f"advise.unit_{unit}", language)


def _names(names: Sequence[str], language: str) -> str:
    listed = text("diagnosis.word.comma", language).join(names[:SHOWN_NAMES])
    if len(names) <= SHOWN_NAMES:
        return listed
    return text("diagnosis.word.and_more", language, names=listed, count=len(names) - SHOWN_NAMES)


def summary_of(diagnosis: Diagnosis, language: str = "en") -> str:
    """How much was looked at, in one or two sentences."""
    windows = text(
        "diagnosis.word.checked", language, count=len(diagnosis.checked), windows=diagnosis.windows
    )
    if diagnosis.windows == diagnosis.windows_total:
        return windows
    return joined([windows, text("diagnosis.word.part", language, total=diagnosis.windows_total)], language)


def missing_of(unknown: Mapping[str, tuple[str, ...]], language: str = "en") -> dict[str, str]:
    """Of each code that could not be checked: what it needs, in words."""
    comma = text("diagnosis.word.comma", language)
    return {
        code: comma.join(text(f"diagnosis.missing.{key}", language) for key in what)
        for code, what in unknown.items()
    }


def title_of(code: str, language: str = "en") -> str:
    """Title of a code, found or not."""
    return catalogue(language)[f"diagnosis.{code}.title"]
