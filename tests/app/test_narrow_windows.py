"""On a telephone the picture comes before what can be chosen about it; on a desk it comes after."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, settle

pytestmark = BROWSER_TEST

PAGES = ["accumulation", "compare", "gradient_flow", "heat_map"]
HEIGHT = 900
SEEN = 100  # pixels of the picture on the first screen, whatever fonts the machine has

# Both are measured in one go: what is above them may still be growing.
TOPS = """([picture, controls]) => [picture, controls].map(one => one.getBoundingClientRect().top)"""
CONTROLS_FIRST = f"""places => {{
    const [picture, controls] = ({TOPS})(places);
    return controls < picture;
}}"""


def picture_and_controls(page: Page) -> list[object]:
    picture, controls = pictures(page).first, page.locator(".st-key-controls")
    expect(picture).to_be_visible()
    expect(controls).to_be_visible()
    settle(page)
    return [picture.element_handle(), controls.element_handle()]


@pytest.mark.parametrize("name", PAGES)
def test_the_picture_comes_first_in_a_narrow_window(visit: Visit, name: str) -> None:
    page = visit(f"{name}?run=samples:healthy-transformer-n8", viewport={"width": 400, "height": HEIGHT})
    places = picture_and_controls(page)
    picture, controls = page.evaluate(TOPS, places)
    assert picture < controls
    assert picture < HEIGHT - SEEN
    page.set_viewport_size({"width": 1200, "height": HEIGHT})
    page.wait_for_function(CONTROLS_FIRST, arg=picture_and_controls(page))
