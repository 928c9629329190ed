"""Words stand out from what is behind them, headings have an order, and it is seen where the keyboard is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, settle

pytestmark = BROWSER_TEST

LEAST = 4.5  # contrast of small letters, by WCAG 2.2, 1.4.3
RUN = "samples:diverges-to-nan"
VIEWS = (
    "learn?mistake=division&mistake=reset",
    f"diagnosis?run={RUN}",
    f"accumulation?run={RUN}",
    f"heat_map?run={RUN}",
)
# Letters whose contrast with the nearest colour behind them is too small. A canvas tells what a colour is in the end.
PALE = """least => {
    const brush = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const seen = colour => {
        brush.clearRect(0, 0, 1, 1);
        brush.fillStyle = colour;
        brush.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = (front, back) => front.slice(0, 3).map((one, at) => one * front[3] + back[at] * (1 - front[3]));
    const behind = element => {
        if (!element) return [255, 255, 255];
        const colour = seen(getComputedStyle(element).backgroundColor);
        return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
    };
    const light = colour => {
        const [red, green, blue] = colour.map(
            one => one / 255 <= 0.04045 ? one / 3294.6 : ((one / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = element => {
        const back = behind(element), style = getComputedStyle(element);
        const letters = seen(element instanceof SVGElement ? style.fill : style.color);
        for (let one = element; one; one = one.parentElement) letters[3] *= getComputedStyle(one).opacity;
        const [low, high] = [light(over(letters, back)), light(back)].sort((one, other) => one - other);
        return (high + 0.05) / (low + 0.05);
    };
    const words = ":is(p, h1, h2, h3, label, li, .token, [data-tag] span, .xtick text, .ytick text)";
    const mark = "[data-testid=stSliderThumbValue]";  // stands above the knob in which the page has it
    return [...document.querySelectorAll(`[data-testid=stMain] ${words}`)].filter(
        one => one.textContent.trim() && one.checkVisibility({opacityProperty: true})
            && !one.closest(mark) && contrast(one) < least
    ).map(one => `${one.textContent.slice(0, 40)}: ${contrast(one).toFixed(2)}`);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_words_stand_out_and_headings_have_an_order(visit: Visit, view: str, scheme: str) -> None:
    page = visit(view, color_scheme=scheme)
    expect(pictures(page).first).to_be_visible()
    settle(page)
    assert page.evaluate(PALE, LEAST) == []
    levels = [
        int(one[1])
        for one in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => one.tagName)")
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_a_frame_is_around_what_the_keyboard_is_at(visit: Visit) -> None:
    page = visit("learn")
    link = page.get_by_role("link", name="Heat map")
    expect(link).to_be_visible()
    framed = []
    for _ in range(12):
        page.keyboard.press("Tab")
        if link.evaluate("one => one === document.activeElement"):
            framed.append(link.evaluate("one => getComputedStyle(one).outlineStyle"))
    assert framed == ["solid"]
