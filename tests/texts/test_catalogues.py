"""Both languages say everything, with the same things filled in."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from gradviz.texts import LANGUAGES, catalogue, joined, text

OTHERS = [language for language in LANGUAGES if language != "en"]


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", OTHERS)
def test_the_same_keys_in_every_language(language: str) -> None:
    assert catalogue(language).keys() == catalogue("en").keys()


@pytest.mark.parametrize("language", OTHERS)
def test_the_same_placeholders_in_every_language(language: str) -> None:
    differ = [
        key
        for key, sentence in catalogue("en").items()
        if placeholders(sentence) != placeholders(catalogue(language)[key])
    ]
    assert differ == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_filled_in(language: str) -> None:
    for key, sentence in catalogue(language).items():
        assert text(key, language, **dict.fromkeys(placeholders(sentence), 7)).strip()


def test_chinese_is_chinese() -> None:
    symbols = re.compile(r"figure\.symbol\.|build_up\.y$|limit_label$")
    plain = [
        key
        for key, sentence in catalogue("zh").items()
        if key.startswith("figure.")
        and not symbols.search(key)
        and not re.search("[\u4e00-\u9fff，。]", sentence)
    ]
    assert plain == []


def test_values_are_filled_in() -> None:
    assert text("figure.sawtooth.clean", total=12) == "Every window starts from zero: 12 of 12."
    assert "12" in text("figure.sawtooth.clean", "zh", total=12)


def test_a_missing_key_and_a_missing_language_say_so() -> None:
    with pytest.raises(KeyError, match=r"figure\.no_such_key"):
        text("figure.no_such_key")
    with pytest.raises(KeyError, match="There are: en, zh"):
        text("figure.sawtooth.clean", "fr")


def test_chinese_sentences_follow_each_other_without_a_space() -> None:
    assert joined(["One.", "Two."]) == "One. Two."
    assert joined(["一。", "二。"], "zh") == "一。二。"
