"""What each page of the dashboard costs on a long run, with a real server and a real browser.

    python benchmarks/pages.py [--folder FOLDER] [--rows 100000000] [--visits 3] [--only PAGE ...] [--quiet 0.5]

FOLDER holds one run made by `benchmarks/big_run.py`; without it one is made. Needs the extra `test` and Debian's
chromium. A page is opened in a server of its own, again and again: the first visit reads the run, the others find
what was kept. Prints medians, as the README shows them:

- server, warm: a rerun of the page's script (wall and CPU time), in a process of its own;
- first picture: from the address to a picture that has been shown, at the first visit and at later ones, of which the
  CPU time of the page's own thread in the browser; nothing is in the browser's cache; the rest of the page comes after
  it; no debugger listens to the page (`bare_tab.py` says what one would cost);
- wire: bytes on the websocket for one visit, with the rest; memory of the server: now and at its highest.

The page Diagnosis of a long run says first how far the examination is: its first visit ends there, the others find
what was found.

Targets on 1e8 rows: warm < 300 ms, first picture < 3 s, wire < 1.2 MB on the heat map, memory < 500 MB.
Other work on the machine is in every time but the CPU's: `--quiet 0.5` waits before each page until the load is below
that, for ten minutes at most; the load that was there is printed beside each row.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bare_tab import BareTab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

PAGES = ("runs", "accumulation", "gradient_flow", "heat_map", "diagnosis", "compare", "learn")
PATIENCE = 600.0  # seconds
RERUNS = 9
PLOT = ".js-plotly-plot .main-svg"
DRAWN = {"runs": "[data-testid=stDataFrame] canvas"}
WAITS = {"diagnosis"}  # its pictures come when the run has been examined: until then it says how far that is
PROGRESS = "[data-testid=stProgress]"
UNFINISHED = ".st-key-rest, [data-testid=stStatusWidget]"  # what follows the first picture is still to come


@dataclass(frozen=True)
class Visit:
    """Seconds to the first picture, CPU seconds of the page's thread until then, megabytes on the websocket."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", type=float, default=1e8)
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PAGES, default=PAGES)
    parser.add_argument("--quiet", type=float, default=None, help="wait for a load below this")
    parser.add_argument(
        "--page", choices=PAGES, help="reruns of one page in this process (used by the script itself)"
    )
    given = parser.parse_args()
    if given.page is not None:
        print(*reruns(given.folder, given.page))
        return
    with tempfile.TemporaryDirectory(prefix="gradviz-pages-") as scratch:
        folder = given.folder or _made(Path(scratch) / "runs", int(given.rows))
        print(f"{_name(folder)}\n")
        print(
            "| page | server, warm: wall (CPU) | first picture: first visit, later (CPU) | wire "
            "| server's memory: now, highest | load |"
        )
        print("|---|---|---|---|---|---|", flush=True)
        for page in given.only:
            _wait_until_quiet(given.quiet)
            row = _row(folder, page, given.visits, Path(scratch))
            print(f"{row} {os.getloadavg()[0]:.1f} |", flush=True)


def _wait_until_quiet(load: float | None) -> None:
    end = time.monotonic() + PATIENCE
    while load is not None and os.getloadavg()[0] > load and time.monotonic() < end:
        time.sleep(5)


def reruns(folder: Path, page: str) -> tuple[float, float]:
    """Median milliseconds of a warm rerun of a page's script: wall and CPU."""
    os.environ["GRADVIZ_DIR"] = str(folder)
    from streamlit.testing.v1 import AppTest

    logging.disable(logging.WARNING)
    app = AppTest.from_file(str(ROOT / "app" / "dashboard.py"), default_timeout=600)
    app.run()
    app.query_params["run"] = _name(folder)
    if page != "runs":
        app.switch_page(f"app_pages/{page}.py")
    app.run()
    while app.get("progress"):  # the run is being examined
        time.sleep(0.5)
        app.run()
    assert not app.exception
    assert not app.error
    took = []
    for _ in range(RERUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        app.run()
        took.append((time.perf_counter() - wall, time.process_time() - cpu))
    return tuple(1e3 * statistics.median(times) for times in zip(*took, strict=True))  # type: ignore[return-value]


def _row(folder: Path, page: str, visits: int, scratch: Path) -> str:
    command = [sys.executable, __file__, "--folder", str(folder), "--page", page]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall, cpu = (float(number) for number in done.stdout.split()[-2:])
    first, later, memory = _visits(folder, page, visits, scratch)
    return (
        f"| {page} | {wall:.0f} ms ({cpu:.0f}) "
        f"| {first.seconds:.1f} s, {later.seconds:.1f} s ({later.cpu:.1f}) "
        f"| {later.megabytes:.2f} MB | {memory[0]:.0f} MB, {memory[1]:.0f} MB |"
    )


def _visits(folder: Path, page: str, visits: int, scratch: Path) -> tuple[Visit, Visit, tuple[float, float]]:
    """The first visit, the median of later ones, and the server's memory after them."""
    from playwright.sync_api import sync_playwright

    from tests.app.served import CHROMIUM, CHROMIUM_FLAGS, serve

    home = Path(tempfile.mkdtemp(dir=scratch))
    with serve(folder, home) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        drawn = DRAWN.get(page, PLOT)
        other = (
            "runs" if page == "learn" else "learn"
        )  # what every page loads, Streamlit's own files among it
        _visit(browser, f"{server.url}/{other}", DRAWN.get(other, PLOT))
        address = f"{server.url}/{page}?run={_name(folder)}"
        first = _visit(browser, address, PROGRESS if page in WAITS else drawn)
        if page in WAITS:
            _visit(browser, address, drawn)
        later = [_visit(browser, address, drawn) for _ in range(visits)]
        memory = _memory(server.process.pid)
        browser.close()
    return first, Visit(*(statistics.median(of) for of in zip(*map(astuple, later), strict=True))), memory


def _visit(browser: Browser, address: str, drawn: str) -> Visit:
    with BareTab(browser, width=1280, height=1600) as tab:
        took = tab.visit(address, drawn)
        spent = tab.busy()
        tab.settle(without=UNFINISHED)
        return Visit(took, spent, tab.received / 1e6)


def _memory(pid: int) -> tuple[float, float]:
    """Resident megabytes of a process: now, and at its highest."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    now, highest = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


def _made(folder: Path, rows: int) -> Path:
    from big_run import make_run

    folder.mkdir(parents=True)
    make_run(folder, rows)
    return folder


def _name(folder: Path) -> str:
    return next(manifest.parent.name for manifest in folder.glob("*/run.json"))


if __name__ == "__main__":
    main()
