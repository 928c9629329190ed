"""What only a browser shows of the heat map: a box drawn over it, a click beside it, and the link to both."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, settle

pytestmark = BROWSER_TEST

RUN = "heat_map?run=samples:healthy-transformer-n8&depth=2"
TALL = {"width": 1280, "height": 1200}  # the mouse reaches no farther than the window


def draw_box(page: Page) -> None:
    """From the middle of the map some way down and right."""
    area = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] * 0.4, area["y"] + area["height"] * 0.4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + area["width"] * 0.1, y + area["height"] * 0.1, steps=4)
    page.mouse.move(x + area["width"] * 0.2, y + area["height"] * 0.2, steps=4)
    page.mouse.up()


def test_a_box_leads_to_what_is_behind_it_and_the_link_brings_it_back(visit: Visit) -> None:
    page = visit(RUN, viewport=TALL)
    expect(page.locator(".js-plotly-plot")).to_have_count(2)  # the map and its strip
    draw_box(page)
    expect(page).to_have_url(re.compile(r"from=.+&to=.+&updates=\d+-\d+"))
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    said = page.get_by_text(re.compile("Selected: updates")).inner_text()
    page.reload()
    settle(page)
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.locator(".js-plotly-plot .shapelayer path")).not_to_have_count(0)  # the frame around it


def test_a_click_on_the_strip_leads_to_its_layer_and_on_to_other_pages(visit: Visit) -> None:
    page = visit(RUN, viewport=TALL)
    mark = page.locator(".js-plotly-plot").nth(1).locator(".scatterlayer .point").nth(2).bounding_box()
    assert mark is not None
    page.mouse.move(mark["x"] + 1, mark["y"] + 1)
    page.mouse.click(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    expect(page).to_have_url(re.compile("rows="))
    page.get_by_role("link", name="These layers on the page Accumulation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Accumulation")
    expect(page).to_have_url(re.compile(r"layer=.+windows=\d+-\d+"))
