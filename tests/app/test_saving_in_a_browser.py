"""A picture saved as an image, by its camera and from the menu: as it is seen, and without drawing it anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, resting_box, settle

pytestmark = BROWSER_TEST

RUN = "diverges-to-nan"
RANGE = "plot => plot._fullLayout.xaxis.range.map(String)"
NAME = f"samples-{RUN}-gradient_flow-picture"


def zoom(page: Page) -> None:
    area = resting_box(pictures(page).first.locator(".nsewdrag").first)
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.3 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 0.7 * area["height"], steps=6)
    page.mouse.up()


def content(download: Download, folder: Path) -> bytes:
    download.save_as(folder / "image")
    return (folder / "image").read_bytes()


def test_the_camera_of_a_picture_saves_a_png(visit: Visit, tmp_path: Path) -> None:
    page = visit(f"gradient_flow?run=samples:{RUN}")
    pictures(page).first.hover()
    with page.expect_download() as download:
        pictures(page).first.get_by_role("button", name=re.compile("Download")).click()
    assert download.value.suggested_filename == f"{NAME}.png"
    assert content(download.value, tmp_path).startswith(b"\x89PNG")


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_the_menu_saves_what_is_seen_and_leaves_it_so(
    visit: Visit, tmp_path: Path, kind: str, start: bytes
) -> None:
    page = visit(f"gradient_flow?run=samples:{RUN}", viewport={"width": 1200, "height": 1200})
    plot = pictures(page).first
    expect(plot.locator(".nsewdrag").first).to_be_visible()
    settle(page)
    before, drawn = plot.evaluate(RANGE), plot.element_handle()
    zoom(page)
    page.wait_for_function(
        f"([plot, before]) => String(({RANGE})(plot)) !== String(before)", arg=[drawn, before]
    )
    zoomed = plot.evaluate(RANGE)
    page.get_by_role("button", name="Save").first.press("Enter")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Image ({kind})").press("Enter")  # a keyboard is enough
    assert download.value.suggested_filename == f"{NAME}.{kind.lower()}"
    assert content(download.value, tmp_path).startswith(start)
    assert drawn.evaluate("plot => plot.isConnected")
    assert plot.evaluate(RANGE) == zoomed
