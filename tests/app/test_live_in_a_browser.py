"""A training really running beside the page: it follows, can be paused, ends by itself, and says when it was killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.app.browsing import settle
from tests.app.served import CHROMIUM, Server, serve

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]

expect.set_options(timeout=60_000)  # two processes and a browser on two cores

RANGE = "plot => plot._fullLayout.xaxis.range.map(end => Math.round(end * 1000))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    with serve(home / "runs", home) as running:
        yield running


@contextmanager
def training(server: Server) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`gradviz demo`'s own training, recording into the folder that is served until it is ended; and its run."""
    folder = Path(server.process.args[-1])  # type: ignore[index, arg-type]
    command = [sys.executable, "-m", "gradviz.recording.demonstration", "--updates", "1000000"]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, Path(json.loads(process.stdout.readline())["run"]).name
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for_update(process: subprocess.Popen[str], update: int) -> None:
    """Read what the training reports until it has made this update."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["update"] >= update:
            return
    raise AssertionError(f"The training ended before update {update}.")


def visit(browser: Browser, server: Server, path: str) -> Page:
    page = browser.new_context(locale="en-US", viewport={"width": 1200, "height": 1400}).new_page()
    page.goto(f"{server.url}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


def picture(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} .js-plotly-plot")


def zoom(page: Page, plot: Locator) -> object:
    """Drag a box over a part of the picture; returns the range that is left."""
    before = plot.evaluate(RANGE)
    plot.scroll_into_view_if_needed()
    area = plot.locator(".nsewdrag").first.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.3 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 0.6 * area["height"], steps=6)
    page.mouse.up()
    page.wait_for_function(f"([plot, before]) => String(({RANGE})(plot)) !== before",
                           arg=[plot.element_handle(), ",".join(map(str, before))])  # fmt: skip
    return plot.evaluate(RANGE)


def badge(page: Page) -> Locator:
    return page.locator(".stMarkdownBadge").first


def test_the_page_follows_a_training_and_becomes_static_when_it_ends(
    browser: Browser, server: Server
) -> None:
    with training(server) as (process, run):
        wait_for_update(process, 3)
        page = visit(browser, server, f"accumulation?run={run}")
        expect(badge(page)).to_have_text(re.compile("live$"))
        expect(page.get_by_text(re.compile(r"last event \d+ s ago"))).to_be_visible()
        windows = page.get_by_test_id("stMetricValue").first
        seen = windows.inner_text()
        expect(windows).not_to_have_text(seen)  # without a click
        process.send_signal(signal.SIGINT)
        expect(badge(page)).to_have_text(re.compile("stopped$"))
        expect(page.get_by_text("Stopped by Ctrl-C")).to_be_visible()
        expect(page.get_by_text("Pause")).to_have_count(0)
        expect(page.get_by_text("last event")).to_have_count(0)
        page.context.close()


def test_zoom_stays_where_nothing_changed_and_everywhere_in_a_pause(browser: Browser, server: Server) -> None:
    with training(server) as (process, run):
        wait_for_update(process, 6)
        page = visit(browser, server, f"gradient_flow?run={run}&window=2")
        flow = picture(page, "gradient_flow-picture")
        expect(flow.locator(".nsewdrag").first).to_be_visible()
        zoomed = zoom(page, flow)
        ratio = page.locator(".st-key-gradient_flow-update_ratio").get_by_test_id("stPlotlyChart")
        drawn = ratio.element_handle()  # comes after the first picture
        wait_for_update(process, 60)
        expect(page.get_by_text(re.compile("Median over"))).to_be_visible()
        page.wait_for_function(
            "plot => !plot.isConnected", arg=drawn
        )  # the picture of the whole run was drawn anew
        assert flow.evaluate(RANGE) == zoomed
        page.get_by_text("Pause").click()
        settled = page.get_by_test_id("stApp")
        expect(settled).to_have_attribute("data-test-script-state", "notRunning")
        paused = ratio.element_handle()
        ages = page.get_by_text(re.compile(r"last event \d+ s ago"))
        wait_for_update(process, 200)
        expect(ages).to_be_visible()  # the badge goes on ticking
        assert paused.evaluate("plot => plot.isConnected")
        assert flow.evaluate(RANGE) == zoomed
        page.context.close()


def test_a_heat_map_of_chosen_updates_keeps_its_zoom(browser: Browser, server: Server) -> None:
    with training(server) as (process, run):
        wait_for_update(process, 30)
        page = visit(browser, server, f"heat_map?run={run}&range=2-20")
        heat_map = picture(page, "heat_map-map")
        heat_map.hover()
        heat_map.get_by_role("button", name="Zoom", exact=True).click()
        zoomed, drawn = zoom(page, heat_map), heat_map.element_handle()
        end = page.get_by_role("slider").last
        seen = end.get_attribute("max") or ""
        wait_for_update(process, 120)
        expect(end).not_to_have_attribute("max", seen)  # the page has followed the run
        assert drawn.evaluate("plot => plot.isConnected")
        assert heat_map.evaluate(RANGE) == zoomed
        page.context.close()


def test_a_picture_that_grows_keeps_its_zoom_until_another_is_asked_for(
    browser: Browser, server: Server
) -> None:
    with training(server) as (process, run):
        wait_for_update(process, 30)
        page = visit(browser, server, f"heat_map?run={run}")
        heat_map, pause = picture(page, "heat_map-map"), page.get_by_text("Pause")
        pause.click()  # a picture that is drawn anew under the mouse cannot be zoomed
        settle(page)
        heat_map.hover()
        heat_map.get_by_role("button", name="Zoom", exact=True).click()
        zoomed, drawn = zoom(page, heat_map), heat_map.element_handle()
        wait_for_update(process, 60)
        pause.click()
        page.wait_for_function("plot => !plot.isConnected", arg=drawn)
        shown = f"""zoomed => [...document.querySelectorAll(".st-key-heat_map-map .js-plotly-plot")].some(
            plot => plot._fullLayout?.xaxis && String(({RANGE})(plot)) === String(zoomed))"""
        page.wait_for_function(shown, arg=zoomed)
        page.get_by_role("radio", name="norm").click()
        whole = f"zoomed => document.querySelector('.st-key-heat_map-map .main-svg') && !({shown})(zoomed)"
        page.wait_for_function(whole, arg=zoomed)
        page.context.close()


def test_a_training_that_is_killed_is_said_to_be_interrupted(browser: Browser, server: Server) -> None:
    with training(server) as (process, run):
        wait_for_update(process, 4)
        page = visit(browser, server, f"gradient_flow?run={run}")
        expect(badge(page)).to_have_text(re.compile("live$"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        expect(badge(page)).to_have_text(re.compile("interrupted$"))
        why = page.get_by_text("no longer holds the lock of the run")
        expect(why).to_contain_text(f"process {process.pid} on")
        expect(page.get_by_text("Pause")).to_have_count(0)
        page.context.close()


def test_a_film_plays_to_its_end_and_keeps_zoom_and_legend(browser: Browser, server: Server) -> None:
    page = visit(browser, server, "gradient_flow?run=samples:vanishing-deep-sigmoid&show=play&window=43")
    film = picture(page, "gradient_flow-play")
    expect(film.locator(".updatemenu-button").first).to_be_visible()
    zoomed, values = zoom(page, film), "plot => plot._fullLayout.yaxis.range.map(String)"
    before = film.evaluate(values)
    film.locator(".legendtoggle").nth(1).click()
    hidden = "plot => plot._fullData.map(one => String(one.visible))"
    page.wait_for_function(f"plot => ({hidden})(plot).includes('legendonly')", arg=film.element_handle())
    last = film.evaluate("plot => plot.layout.sliders[0].steps.length - 1")
    first = film.evaluate("plot => plot._fullData.at(-1).customdata.map(String).join()")
    film.locator(".updatemenu-button").first.click()
    page.wait_for_function("([plot, last]) => plot._fullLayout.sliders[0].active === last",
                           arg=[film.element_handle(), last])  # fmt: skip
    assert film.evaluate(RANGE) == zoomed
    assert film.evaluate(values) == before
    assert "legendonly" in film.evaluate(hidden)
    assert film.evaluate("plot => plot._fullData.at(-1).customdata.map(String).join()") != first
    page.context.close()
