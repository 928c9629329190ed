"""What holds for every test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.app.served import CHROMIUM, CHROMIUM_FLAGS

# files that share what takes seconds to load, and so a process: the training libraries; the process that is forked
TOGETHER = {
    "libraries": ("integrations/", "recording/test_loss_audit_loops.py", "recording/test_odd_loops.py"),
    "forked": (
        "distributed/test_end_to_end.py", "distributed/test_launches.py", "distributed/test_partial.py",
        "faults/test_training_is_safe.py", "recording/test_unchanged.py", "recording/test_watch.py",
    ),
}  # fmt: skip

# the models of the tests are tiny, and a worker runs on each core: threads within torch only get in the way
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """A shell that starts us in the background has us ignore Ctrl-C; what the tests start is not to inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, but for the files that belong together."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # where it is not installed, nobody asks

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return next((name for name, files in TOGETHER.items() if _within(file, files)), file)

    return Together(config, log)


def _within(file: str, files: tuple[str, ...]) -> bool:
    return any(file.startswith(f"tests/{one}") for one in files)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A soak test that goes through every call may take its time."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1500))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection looks through it again. Streamlit makes one after each page."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Else a library that counts at its end takes what was kept for leaked."""
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a browser or soak test that skips is one that failed."""
    report = yield
    asked = item.get_closest_marker("browser") or item.get_closest_marker("soak")
    if report.skipped and "CI" in os.environ and asked:
        report.outcome = "failed"
        report.longrepr = f"CI runs the {asked.name} tests, but this one was skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium. Its loop runs in this thread, where other tests start loops: one file at a time."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()
