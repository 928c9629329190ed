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


def test_a_narrow_heat_map_is_cells_and_not_names(visit: Visit) -> None:
    page = visit("heat_map?run=samples:healthy-transformer-n8", viewport={"width": 400, "height": HEIGHT})
    picture = pictures(page).first
    expect(picture.locator(".heatmaplayer image")).to_be_visible()
    cells, whole = (one.bounding_box() for one in (picture.locator(".heatmaplayer image"), picture))
    assert cells is not None
    assert whole is not None
    assert cells["width"] > 0.38 * whole["width"], "names and colours are what goes beside them"


@pytest.mark.parametrize("width", [660, 900, 1280])
@pytest.mark.parametrize("name", ["accumulation", "heat_map"])
def test_every_choice_about_a_picture_is_seen_whole(visit: Visit, name: str, width: int) -> None:
    page = visit(f"{name}?run=samples:healthy-transformer-n8", viewport={"width": width, "height": HEIGHT})
    groups = page.locator(".st-key-controls [data-testid=stButtonGroup] [role=radiogroup]")
    expect(groups).to_have_count(3)
    settle(page)
    cut = "groups => groups.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText)"
    assert groups.evaluate_all(cut) == []
