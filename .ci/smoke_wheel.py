"""What a user of the wheel does first, without torch and away from the checkout; run by `.ci/run`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PORT = 8599
GRADVIZ = str(Path(sys.executable).parent / "gradviz")


def gradviz(*arguments: str) -> str:
    """The standard output of one command, which must exit with 0."""
    return subprocess.run([GRADVIZ, *arguments], check=True, capture_output=True, text=True).stdout


def check_commands(package: Path) -> int:
    """List the shipped samples, summarise each, and let the doctor look; how many samples there are."""
    assert importlib.util.find_spec("torch") is None, "torch is installed: this proves nothing"
    runs = json.loads(gradviz("ls", str(package / "_sample_runs"), "--json"))
    assert runs, f"no sample runs in {package}"
    for run in runs:
        windows = json.loads(gradviz("summary", run["path"], "--json"))["windows"]
        assert windows["observed"] > 0, run["name"]
        sys.stdout.write(f"{run['name']}: {windows['observed']} windows\n")
    doctor = json.loads(gradviz("doctor", "--json"))
    assert doctor["ok"], doctor
    return len(runs)


def check_first_page(package: Path, samples: int) -> None:
    """The first page lists every sample run, and raises nothing."""
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_file(str(package / "_app" / "dashboard.py"), default_timeout=60).run()
    assert not page.exception, page.exception
    assert sum(len(table.value) for table in page.dataframe) == samples


def check_view() -> None:
    """`gradviz view` finds the app inside the wheel and serves it."""
    server = subprocess.Popen([GRADVIZ, "view", "--no-browser", "--port", str(PORT)])
    try:
        deadline = time.monotonic() + 60
        while not answers():
            assert server.poll() is None, f"the server ended with {server.returncode}"
            assert time.monotonic() < deadline, "the server did not answer within 60 s"
            time.sleep(0.2)
        sys.stdout.write("the dashboard answers\n")
    finally:
        server.terminate()
        server.wait(timeout=20)


def answers() -> bool:
    """Whether the health page says ok."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=2) as page:
            return bool(page.read() == b"ok")
    except OSError:
        return False


if __name__ == "__main__":
    import gradviz as installed

    home = Path(installed.__file__).parent
    assert "site-packages" in home.parts, f"not the wheel: {home}"
    check_first_page(home, check_commands(home))
    check_view()
