"""On a telephone the picture comes before what can be chosen about it; on a desk it comes after."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, settle

pytestmark = BROWSER_TEST

PAGES = ["accumulation", "compare", "gradient_flow", "heat_map"]


def tops(page: Page) -> tuple[float, float]:
    """Where the first picture begins, and where the controls do."""
    picture, controls = pictures(page).first, page.locator(".st-key-controls")
    expect(picture).to_be_visible()
    expect(controls).to_be_visible()
    settle(page)
    boxes = picture.bounding_box(), controls.bounding_box()
    assert boxes[0] is not None
    assert boxes[1] is not None
    return boxes[0]["y"], boxes[1]["y"]


@pytest.mark.parametrize("name", PAGES)
def test_the_picture_comes_first_in_a_narrow_window(visit: Visit, name: str) -> None:
    page = visit(f"{name}?run=samples:healthy-transformer-n8", viewport={"width": 400, "height": 900})
    picture, controls = tops(page)
    assert picture < controls
    assert picture < 700  # on the first screen
    page.set_viewport_size({"width": 1200, "height": 900})
    page.wait_for_function("document.querySelector('.st-key-controls').getBoundingClientRect().width > 800")
    picture, controls = tops(page)
    assert controls < picture
