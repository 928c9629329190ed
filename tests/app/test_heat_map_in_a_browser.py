"""What only a browser shows of the heat map: a box drawn over it, a click beside it, and the link to both."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, resting_box, settle

pytestmark = BROWSER_TEST

RUN = "heat_map?run=samples:healthy-transformer-n8&depth=2"
TALL = {"width": 1280, "height": 1200}  # the mouse reaches no farther than the window


def draw_box(page: Page) -> None:
    """From the middle of the map some way down and right."""
    expect(page.locator(".js-plotly-plot .nsewdrag")).to_have_count(2)  # the map and its strip
    settle(page)
    area = resting_box(page.locator(".js-plotly-plot .nsewdrag").first)
    x, y = area["x"] + area["width"] * 0.4, area["y"] + area["height"] * 0.4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + area["width"] * 0.1, y + area["height"] * 0.1, steps=4)
    page.mouse.move(x + area["width"] * 0.2, y + area["height"] * 0.2, steps=4)
    page.mouse.up()


def test_a_box_leads_to_what_is_behind_it_and_the_link_brings_it_back(visit: Visit) -> None:
    page = visit(RUN, viewport=TALL)
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
    mark = resting_box(page.locator(".js-plotly-plot").nth(1).locator(".scatterlayer .point").nth(2))
    page.mouse.move(mark["x"] + 1, mark["y"] + 1)
    page.mouse.click(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    expect(page).to_have_url(re.compile("rows="))
    page.get_by_role("link", name="These layers on the page Accumulation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Accumulation")
    expect(page).to_have_url(re.compile(r"layer=.+windows=\d+-\d+"))


def test_rows_chosen_by_name_take_the_place_of_a_box(visit: Visit) -> None:
    page = visit(RUN, viewport=TALL)
    heat_map = page.locator(".js-plotly-plot").first
    draw_box(page)
    expect(page).to_have_url(re.compile("from="))
    expect(heat_map.locator(".selectionlayer path")).not_to_have_count(0)
    menu = page.get_by_role("combobox", name="Rows to look behind")
    menu.press("Tab")  # a keyboard is enough
    menu.fill("head")
    menu.press("Enter")
    expect(page.get_by_text(re.compile("Selected: updates .+ of head$"))).to_be_visible()
    expect(page).not_to_have_url(re.compile("from=|to="))
    expect(heat_map.locator(".shapelayer path")).to_have_count(1)
    expect(heat_map.locator(".selectionlayer path")).to_have_count(0)
    page.get_by_test_id("stBaseButton-tertiary").filter(has_text="Clear").click()
    expect(page.get_by_text("Drag a box over the map")).to_be_visible()
    expect(heat_map.locator(".shapelayer path")).to_have_count(0)
    expect(heat_map.locator(".selectionlayer path")).to_have_count(0)


def test_the_updates_of_a_box_can_be_shown_alone(visit: Visit) -> None:
    page = visit(RUN, viewport=TALL)
    draw_box(page)
    expect(page).to_have_url(re.compile(r"updates=\d+-\d+"))
    first, last = re.findall(r"updates=(\d+)-(\d+)", page.url)[0]
    page.get_by_role("button", name="Only these updates").click()
    expect(page).to_have_url(re.compile(f"range={first}-{last}"))
    expect(page.get_by_role("slider").first).to_have_value(first)
    expect(page.get_by_role("slider").last).to_have_value(last)
    expect(page.get_by_role("button", name="Only these updates")).to_have_count(0)
    frames = page.locator(".js-plotly-plot").first.locator(".shapelayer path")
    expect(frames).to_have_count(1)  # what was chosen is still marked
