"""Pictures of the real dashboard on the shipped sample runs: `python benchmarks/screenshots.py [FOLDER]`.

Needs the extra `test` and Debian's chromium. Writes every page, light and dark, as small PNG files; the README
shows some of them.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402  # after the path
from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402

from tests.app.served import CHROMIUM, CHROMIUM_FLAGS, serve  # noqa: E402

WIDTH = 1200
PATIENCE = 240_000  # milliseconds: a busy machine is slow, not wrong
COLOURS = 128  # a palette makes a screenshot four times smaller and nobody sees it
VIEWS = {  # name: (link, height, pictures to wait for)
    "runs": ("", 520, 0),
    "accumulation": ("accumulation?run=samples:healthy-transformer-n8&windows=0-11&window=3", 1720, 3),
    "flow": ("gradient_flow?run=samples:vanishing-deep-sigmoid&window=20&moment=4", 960, 1),
    "heat-map": ("heat_map?run=samples:healthy-transformer-n8", 1000, 1),
    "diagnosis": ("diagnosis?run=samples:diverges-to-nan", 850, 2),
    "compare": (
        "compare?runs=samples:healthy-digits-n4-short-last-window&runs=samples:diverges-to-nan",
        1500,
        3,
    ),
    "learn": ("learn", 1200, 3),
}


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "app" / "pictures")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        with serve(ROOT / "sample_runs", Path(home)) as server:
            for scheme in ("light", "dark"):
                for name, (path, height, charts) in VIEWS.items():
                    page = chromium.new_page(
                        viewport={"width": WIDTH, "height": height}, color_scheme=scheme, locale="en-US"
                    )
                    page.goto(f"{server.url}/{path}")
                    _finish(page, charts=charts)
                    _save(page.screenshot(), folder / f"{name}-{scheme}.png")
                    page.close()
        chromium.close()


def _finish(page: Page, *, charts: int) -> None:
    """Wait until everything stands where it will stay: `charts` pictures at least."""
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE)
    last = page.locator(".js-plotly-plot .main-svg") if charts else page.get_by_test_id("stDataFrame")
    expect(last.first).to_be_visible(timeout=PATIENCE)
    if charts:
        expect(page.locator(".js-plotly-plot .main-svg").nth(charts - 1)).to_be_attached(timeout=PATIENCE)
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=PATIENCE
    )
    expect(page.locator("[data-testid=stPlotlyChart]:not(:has(.main-svg))")).to_have_count(
        0, timeout=PATIENCE
    )
    # The first picture of a page comes alone: nothing asks for the rest, runs, or holds a place for what is to come.
    waiting = page.locator(".st-key-rest, [data-testid=stStatusWidget], [data-testid=stSkeleton]")
    expect(waiting).to_have_count(0, timeout=PATIENCE)
    page.wait_for_function("document.fonts.status === 'loaded'")
    page.wait_for_load_state("networkidle")


def _save(screenshot: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
