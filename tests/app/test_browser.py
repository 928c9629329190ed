"""The dashboard as a reader meets it: a real server, a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from gradviz.store import sample_folder
from tests.app.opening import PAGES
from tests.app.recorded import NAMES, open_writer, record_run, write_windows
from tests.app.served import CHROMIUM, CHROMIUM_FLAGS, Server, listening_addresses, serve

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))
TITLES = {
    "runs": "Runs",
    "accumulation": "Accumulation",
    "gradient_flow": "Gradient flow",
    "diagnosis": "Diagnosis",
}
HOSTILE = "![](http://example.invalid/beacon.png)"
# Streamlit looks for its server below the page's own path first; these two answers 404 are its own.
PROBES = re.compile(r"/_stcore/(health|host-config)$")

expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "runs"
    record_run(folder, "healthy", windows=[4] * 24 + [2])
    names = [HOSTILE, f"<img src='{HOSTILE[4:-1]}'>", "head.weight"]
    record_run(folder, HOSTILE, layers=names, model_class=HOSTILE, resets=False)  # a finding names them too
    with serve(folder, home) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Open a page; at the end no request has left this machine and no error was logged."""
    complaints: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBES.search(message.location.get("url", "")):
            complaints.append(message.text)

    def visited(path: str, **options: object) -> Page:
        context = browser.new_context(**({"locale": "en-US"} | options))  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(_foreign(request.url, server)))
        page.goto(f"{server.url}/{path}")
        settle(page)
        return page

    yield visited
    for context in contexts:
        context.close()
    assert complaints == []


def settle(page: Page) -> None:
    """Wait until the script has run and nothing is left to be replaced."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=30_000
    )


def _foreign(url: str, server: Server) -> list[str]:
    at_home = url.startswith((f"{server.url}/", f"ws://127.0.0.1:{server.port}/", "data:", "blob:"))
    return [] if at_home else [f"request to {url}"]


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


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_accumulation_page_draws_every_sample_run(visit: Visit, sample: str) -> None:
    page = visit(f"accumulation?run=samples:{sample}")
    answers = page.locator(".js-plotly-plot, [data-testid='stAlertContentInfo']")
    expect(answers).to_have_count(3)  # the sawtooth, the build-up and one window: drawn, or why not
    expect(page.locator(".js-plotly-plot").first).to_be_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_window_does_not_scroll_sideways(visit: Visit, name: str) -> None:
    page = visit("" if name == "runs" else name, viewport={"width": 400, "height": 800})
    width = page.get_by_test_id("stMain").evaluate("element => element.scrollWidth")
    assert width <= 400


def test_the_language_of_the_browser(visit: Visit) -> None:
    page = visit("accumulation", locale="zh-CN")
    expect(page.get_by_role("heading", level=1)).to_have_text("梯度累积")


def test_the_language_switch_changes_the_page_and_the_link(visit: Visit) -> None:
    page = visit("accumulation")
    page.get_by_role("radio", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("梯度累积")
    expect(page).to_have_url(re.compile("lang=zh"))
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


@pytest.mark.parametrize("name", PAGES)
def test_hostile_names_fetch_nothing_and_run_nothing(visit: Visit, server: Server, name: str) -> None:
    page = visit("")
    if name != "runs":
        page.get_by_role("link", name=TITLES[name]).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[name])
        page.get_by_role("combobox", name="Run").first.click()
        page.get_by_role("option").filter(has_text=HOSTILE).click()
        expect(page).to_have_url(re.compile("example.invalid"))
        settle(page)
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.locator("img[src*='example.invalid'], main script").count() == 0
    hosts = page.locator("a").evaluate_all("links => links.map(link => link.hostname)")
    assert set(hosts) <= {"127.0.0.1", ""}


def test_a_live_run_grows_and_ends_without_a_click(visit: Visit, tmp_path: Path, server: Server) -> None:
    folder = Path(server.process.args[-1])  # type: ignore[index, arg-type]
    writer = open_writer(folder, "growing")
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
