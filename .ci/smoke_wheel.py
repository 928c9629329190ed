"""What a user of the wheel does first, without torch and away from the checkout; run by .ci/run."""

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


def check_commands() -> None:
    """Import, list the shipped samples, summarise each, and let the doctor look."""
    import gradviz as package

    assert importlib.util.find_spec("torch") is None, "torch is installed: this proves nothing"
    samples = Path(package.__file__).parent / "_sample_runs"
    runs = json.loads(gradviz("ls", str(samples), "--json"))
    assert runs, f"no sample runs in {samples}"
    for run in runs:
        windows = json.loads(gradviz("summary", run["path"], "--json"))["windows"]
        assert windows["observed"] > 0, run["name"]
        sys.stdout.write(f"{run['name']}: {windows['observed']} windows\n")
    doctor = json.loads(gradviz("doctor", "--json"))
    assert doctor["ok"], doctor


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
    check_commands()
    check_view()
