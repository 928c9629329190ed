"""The page Learn: every choice is a link, the code and the sentences are those of the loop that trains."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_learn_formulas import FORMULAS, WRONG, update_formula
from streamlit.testing.v1 import AppTest

from gradviz.analysis.toy_loop import Mistake, ToyLoop
from gradviz.texts import LANGUAGES, text
from tests.app.opening import Open, assert_sound, spoken

CHAPTERS = ("window", "division", "reset", "short", "tokens", "noise", "clipping")


def chapter_row(app: AppTest) -> Any:
    return next(one for one in app.get("segmented_control") if one.key == "widget.chapter")  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chapter_has_words_and_a_formula(open_page: Open, language: str) -> None:
    app = open_page("learn", lang=language)
    for chapter in CHAPTERS:
        app.query_params["chapter"] = chapter
        app.run()
        assert_sound(app)
        assert chapter_row(app).value == chapter
        assert text(f"app.learn.text.{chapter}", language) in spoken(app)
        assert FORMULAS[chapter] in [f"{one.value}".strip("$\n ") for one in app.latex]


def test_a_right_loop_says_so_and_marks_nothing(open_page: Open) -> None:
    app = open_page("learn")
    assert_sound(app)
    assert ["one large batch of 16 samples" in one.value for one in app.success] == [True]
    assert not app.warning
    assert app.code[-1].language == "python"
    assert "\n+" not in app.code[-1].value


@pytest.mark.parametrize(
    ("mistake", "says", "line"),
    [
        ("division", "4 times too large", "-             loss.backward()"),
        ("reset", "All 20 windows are still in the sum", "+         optimizer.zero_grad()"),
        ("short", "ends with 2 micro\\-steps instead of 4", "-             (loss / 4).backward()"),
        ("tokens", "weighs 8 times as much", "-             loss = loss_fn(model(inputs), labels)"),
    ],
)
def test_a_mistake_is_shown_in_numbers_and_in_its_line(
    open_page: Open, mistake: str, says: str, line: str
) -> None:
    app = open_page("learn", mistake=mistake)
    assert_sound(app)
    assert says.replace("\\", "") in app.warning[0].value
    assert line in app.code[-1].value.splitlines()
    assert app.code[-1].language == "diff"


def test_a_chapter_sets_the_loop_that_it_speaks_of(open_page: Open) -> None:
    app = open_page("learn", mistake="short")
    chapter_row(app).set_value("reset").run()
    assert_sound(app)
    assert (app.query_params["chapter"], app.query_params["mistake"]) == ("reset", "reset")
    assert "momentum without friction" in app.warning[0].value


def test_every_choice_is_in_the_link_and_a_link_sets_every_choice(open_page: Open) -> None:
    asked = {"n": "8", "batch": "2", "noise": "2", "rate": "0.0625", "seed": "7"}
    app = open_page("learn", **asked, mistake=["reset", "tokens"])
    assert_sound(app)
    assert app.slider[0].value == 8
    assert "chunks(loader, 8)" in app.code[-1].value
    assert {name: app.query_params[name] for name in asked} == asked
    app.button(key="learn.seed").click().run()
    assert app.query_params["seed"] == "8"
    app.slider[0].set_value(2).run()
    assert (app.query_params["n"], app.query_params["seed"]) == ("2", "8")


@pytest.mark.parametrize(
    "hostile",
    [
        {"n": "99999999999999"},
        {"n": "-1", "batch": "3", "noise": "nan", "rate": "1e9"},
        {"seed": "999999999999999", "mistake": "<script>"},
        {"chapter": "![](http://example.invalid)", "mistake": ["reset", "reset", "nothing"]},
    ],
)
def test_a_hostile_link_is_a_page_of_the_nearest_choices(
    open_page: Open, hostile: dict[str, str | list[str]]
) -> None:
    app = open_page("learn", **hostile)
    assert_sound(app)
    said = spoken(app).replace(
        app.code[0].value, ""
    )  # but the address itself, which is shown letter by letter
    assert "example.invalid" not in said
    assert 1 <= app.slider[0].value <= 16


def test_several_mistakes_are_measured_alone(open_page: Open) -> None:
    app = open_page("learn", mistake=[one.value for one in Mistake])
    assert_sound(app)
    assert len(app.warning) == 4
    assert "with that mistake alone" in spoken(app)


def test_the_formula_has_each_mistake_in_red() -> None:
    assert WRONG not in update_formula(ToyLoop())
    for mistake in Mistake:
        assert update_formula(ToyLoop(mistakes=frozenset({mistake}))).count(WRONG) == 1
