"""What the dashboard costs its server: `python benchmarks/app.py`. No browser is involved.

Targets: the first page loads no torch and stays below 250 MB; a rerun of any page takes less than 100 ms of
script time when its caches are warm, on the largest sample run.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

REPEATS = 15
MEGABYTES_ALLOWED = 250.0
MILLISECONDS_ALLOWED = 100.0
PAGES = ("runs", "accumulation", "gradient_flow", "diagnosis")


def main() -> int:
    """Print the table; the exit code is 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--page", choices=PAGES, help="measure one page in this process (used by the script itself)"
    )
    chosen = parser.parse_args().page
    if chosen is not None:
        print(*measure(chosen))
        return 0
    print(f"largest sample run: {largest_sample()}\n")
    print(f"{'page':<15}{'cold ms':>10}{'warm ms':>10}{'peak MB':>10}{'torch':>8}")
    met = True
    for page in PAGES:
        cold, warm, megabytes, torch = _in_a_fresh_process(page)
        met &= warm < MILLISECONDS_ALLOWED and not torch and (page != "runs" or megabytes < MEGABYTES_ALLOWED)
        print(f"{page:<15}{cold:>10.0f}{warm:>10.1f}{megabytes:>10.0f}{'yes' if torch else 'no':>8}")
    targets = f"warm < {MILLISECONDS_ALLOWED:.0f} ms, first page < {MEGABYTES_ALLOWED:.0f} MB, no torch"
    print(f"\ntargets ({targets}): {'met' if met else 'MISSED'}")
    return 0 if met else 1


def measure(page: str) -> tuple[float, float, float, bool]:
    """Cold and median warm milliseconds of a page's script, peak megabytes, whether torch was loaded."""
    from streamlit.testing.v1 import AppTest

    logging.disable(logging.WARNING)
    app = AppTest.from_file(str(ROOT / "app" / "dashboard.py"), default_timeout=120)
    if page != "runs":  # AppTest reaches other pages from the first one only
        app.run()
        app.query_params["run"] = f"samples:{largest_sample()}"
        app.switch_page(f"app_pages/{page}.py")
    took = [_seconds(app) for _ in range(1 + REPEATS)]
    assert not app.exception
    assert not app.error
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return took[0] * 1e3, statistics.median(took[1:]) * 1e3, megabytes, "torch" in sys.modules


def largest_sample() -> str:
    """Name of the shipped run with the most bytes."""
    from gradviz.store import sample_folder

    folders = [manifest.parent for manifest in sample_folder().glob("*/run.json")]
    return max(folders, key=lambda run: sum(part.stat().st_size for part in run.rglob("*.parquet"))).name


def _seconds(app: object) -> float:
    began = time.perf_counter()
    app.run()  # type: ignore[attr-defined]
    return time.perf_counter() - began


def _in_a_fresh_process(page: str) -> tuple[float, float, float, bool]:
    command = [sys.executable, str(Path(__file__)), "--page", page]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cold, warm, megabytes, torch = done.stdout.split()[-4:]
    return float(cold), float(warm), float(megabytes), torch == "True"


if __name__ == "__main__":
    raise SystemExit(main())
