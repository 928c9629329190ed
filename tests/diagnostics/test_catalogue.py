"""The catalogue, its documents and its texts hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradviz.diagnostics import CHECKS, Finding, Level
from gradviz.diagnostics.wording import number, shown, wording
from gradviz.texts import LANGUAGES, catalogue

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
PARTS = ("title", "meaning", "advice", "code")


@pytest.mark.parametrize("code", CHECKS)
def test_a_check_says_its_rule_how_to_read_it_and_what_it_requires(code: str) -> None:
    says = CHECKS[code].__doc__ or ""
    assert says.startswith(f"`{code}`: ")
    for heading in ("Rule", "How to read it:", "Requires:"):
        assert heading in says
    assert CHECKS[code].__name__ == "check_" + code.replace("-", "_")


@pytest.mark.parametrize("code", CHECKS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_its_texts(code: str, language: str) -> None:
    texts = {key for key in catalogue(language) if key.startswith(f"diagnosis.{code}.")}
    assert {f"diagnosis.{code}.{part}" for part in PARTS} < texts
    assert any(key.startswith(f"diagnosis.{code}.why") for key in texts)


def test_no_texts_of_codes_that_are_gone() -> None:
    named = {key.split(".")[1] for key in catalogue("en") if key.startswith("diagnosis.")}
    assert named - {"level", "word", "missing"} == set(CHECKS)


def test_the_readme_lists_every_check() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \| (?:error|warning|info)", README, re.MULTILINE) == list(CHECKS)


def test_a_finding_in_words() -> None:
    evidence = {"windows": 29, "windows_total": 30, "layers": 6, "layers_total": 8, "residual": 2.18332}
    names = tuple(f"{number}.weight" for number in range(6))
    words = wording(Finding("not-reset", Level.ERROR, names, 1, 0, evidence))
    assert words.title == "Gradients are not reset"
    assert words.why == (
        "In 29 of 30 windows, 6 of 8 parameters started from a gradient that was not zero (norm up to 2.18) and "
        "were then updated with it: 0.weight, 1.weight, 2.weight, 3.weight and 2 more."
    )
    assert words.paste == "optimizer.step()\noptimizer.zero_grad()"
    assert "29" in wording(Finding("not-reset", Level.ERROR, names, 1, 0, evidence), "zh").why


def test_names_with_braces_are_only_names() -> None:
    evidence = {"layers": 1, "layers_total": 2, "elements_share": 0.5}
    assert (
        "{0.__class__}" in wording(Finding("frozen", Level.INFO, ("{0.__class__}",), evidence=evidence)).why
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (2.18332, "2.18"), (1234.5, "1234"), (1e-3, "0.001"), (4.2e-7, "4.20e-7"), (3e9, "3.00e9"),
     (float("inf"), "∞"), (100.0, "100"), (0.0499999, "0.05"), (-0.25, "-0.25")],
)  # fmt: skip
def test_numbers_as_a_person_writes_them(value: float, text: str) -> None:
    assert number(value) == text


def test_shares_are_per_cent_and_unknown_is_said() -> None:
    assert shown("lost_share", 0.1234) == "12.3 %"
    assert shown("weight", float("nan")) == "unknown"
    assert shown("weight", float("nan"), "zh") == "未知"
    assert shown("windows", 12) == "12"
