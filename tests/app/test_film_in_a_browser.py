"""The film on the page Gradient flow: it is played, stopped and gone through by hand, and the console stays silent."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.app.browsing import BROWSER_TEST, Visit

pytestmark = BROWSER_TEST

FILM = "gradient_flow?run=samples:vanishing-deep-sigmoid&show=play&window=36"
PLACE = "plot => plot._fullLayout.sliders[0].active"
IS_STILL = "plot => plot._transitionData._animationRaf === null"


def playing(page: Page) -> Locator:
    """The film, some moments after its start."""
    film = page.locator(".st-key-gradient_flow-play .js-plotly-plot")
    expect(film.locator(".updatemenu-button").first).to_be_visible()
    start = film.evaluate(PLACE)
    film.locator(".updatemenu-button").first.click()
    page.wait_for_function(
        f"([plot, start]) => ({PLACE})(plot) > start + 1", arg=[film.element_handle(), start]
    )
    return film


def test_a_film_is_stopped_and_played_on(visit: Visit) -> None:
    page = visit(FILM)
    film = playing(page)
    play, pause = film.locator(".updatemenu-button").all()
    pause.click()
    page.wait_for_function(IS_STILL, arg=film.element_handle())
    stopped = film.evaluate(PLACE)
    assert stopped < film.evaluate("plot => plot.layout.sliders[0].steps.length - 1")
    play.click()
    page.wait_for_function(f"([plot, stopped]) => ({PLACE})(plot) === stopped + 1",
                           arg=[film.element_handle(), stopped])  # fmt: skip


def test_a_film_is_played_and_stopped_with_the_keyboard(visit: Visit) -> None:
    page = visit(FILM)
    film = page.locator(".st-key-gradient_flow-play .js-plotly-plot")
    play, pause = page.get_by_role("button", name="play"), page.get_by_role("button", name="pause")
    expect(pause).to_have_attribute("tabindex", "0")
    start = film.evaluate(PLACE)
    play.press("Enter")
    page.wait_for_function(f"([plot, start]) => ({PLACE})(plot) > start", arg=[film.element_handle(), start])
    pause.press("Space")
    page.wait_for_function(IS_STILL, arg=film.element_handle())


def test_a_film_that_is_played_jumps_to_the_moment_that_is_clicked(visit: Visit) -> None:
    page = visit(FILM)
    film = playing(page)
    film.locator(".slider-rail-touch-rect").click(position={"x": 2, "y": 4})
    page.wait_for_function(f"plot => ({IS_STILL})(plot) && ({PLACE})(plot) === 0", arg=film.element_handle())
