"""The dashboard as a reader meets it: a real server, a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from gradviz.texts import text
from tests.app.browsing import BROWSER_TEST, HOSTILE, Visit, pictures, settle, stays_at_home
from tests.app.opening import PAGES
from tests.app.recorded import NAMES, open_writer, write_windows
from tests.app.served import Server, listening_addresses

pytestmark = BROWSER_TEST

TITLES = {name: text(f"app.{name}.title") for name in PAGES}


def test_only_this_machine_is_listened_on(server: Server) -> None:
    assert listening_addresses(server.port) == {"0100007F"}  # 127.0.0.1 in the kernel's byte order


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_in_light_and_dark(visit: Visit, name: str, scheme: str) -> None:
    page = visit("" if name == "runs" else name, color_scheme=scheme)
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[name])
    red, green, blue = _background(page)
    assert (red + green + blue < 200) == (scheme == "dark")


def _background(page: Page) -> tuple[int, int, int]:
    colour = page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).backgroundColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return red, green, blue


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_window_does_not_scroll_sideways(visit: Visit, name: str) -> None:
    page = visit("" if name == "runs" else name, viewport={"width": 400, "height": 800})
    width = page.get_by_test_id("stMain").evaluate("element => element.scrollWidth")
    assert width <= 400


def test_the_language_of_the_browser(visit: Visit) -> None:
    page = visit("accumulation", locale="zh-CN")
    expect(page.get_by_role("heading", level=1)).to_have_text("梯度累积")
    expect(page.locator("html")).to_have_attribute("lang", "zh")


def test_the_language_switch_changes_the_page_and_the_link(visit: Visit) -> None:
    page = visit("accumulation")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("radio", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("梯度累积")
    expect(page).to_have_url(re.compile("lang=zh"))
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("梯度累积")


def test_a_row_of_the_table_opens_the_run(visit: Visit) -> None:
    page = visit("")
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    table.click(position={"x": 200, "y": 55})  # the first row, in the column of the names
    expect(page.get_by_role("heading", level=1)).to_have_text("Accumulation")
    expect(page).to_have_url(re.compile(r"/accumulation\?run="))


def test_the_run_goes_along_from_page_to_page(visit: Visit) -> None:
    page = visit("accumulation?run=samples:never-resets")
    page.get_by_role("link", name="Gradient flow").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Gradient flow")
    expect(page).to_have_url(re.compile(r"/gradient_flow\?run=samples(:|%3A)never-resets"))


def test_a_finding_leads_to_its_micro_step(visit: Visit) -> None:
    page = visit("diagnosis?run=samples:diverges-to-nan")
    page.get_by_role("link", name=re.compile("Sawtooth around update 14")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Accumulation")
    expect(page).to_have_url(re.compile("window=14"))
    expect(page.get_by_role("slider").last).to_have_value("14")


def test_the_findings_of_the_runs_come_by_themselves(visit: Visit) -> None:
    page = visit("")
    verdicts = page.locator("[role=gridcell]").filter(has_text="✗ error")
    expect(verdicts.first).to_be_attached()


def test_the_back_button_takes_a_choice_back(visit: Visit) -> None:
    page = visit("accumulation?run=samples:never-resets")
    settle(page)
    page.get_by_role("radio", name="log", exact=True).click()
    expect(page).to_have_url(re.compile("scale=log"))
    page.go_back()
    expect(page).not_to_have_url(re.compile("scale=log"))
    settle(page)
    expect(page.get_by_role("radio", name="linear", exact=True)).to_be_checked()


def test_a_hostile_name_is_chosen_from_the_menu(visit: Visit) -> None:
    page = visit("")
    page.get_by_role("link", name=TITLES["gradient_flow"]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES["gradient_flow"])
    page.get_by_role("combobox", name="Run").first.click()
    page.get_by_role("option").filter(has_text=HOSTILE).click()
    expect(page).to_have_url(re.compile("example.invalid"))
    settle(page)
    expect(pictures(page).first).to_be_visible()
    assert stays_at_home(page)


def test_a_live_run_grows_and_ends_without_a_click(visit: Visit, server: Server) -> None:
    writer = open_writer(server.folder, "growing")
    event = write_windows(writer, [4] * 2)
    page = visit(f"accumulation?run={writer.path.name}&layer={NAMES[0]}")
    windows = page.get_by_test_id("stMetricValue").first
    expect(windows).to_have_text("2")
    expect(page.get_by_text("Pause")).to_be_visible()
    write_windows(writer, [4] * 3, first_update=2, first_event=event)
    expect(windows).to_have_text("5")
    writer.close()
    expect(page.get_by_text("finished", exact=False).first).to_be_visible()
    expect(page.get_by_text("Pause")).to_have_count(0)
