"""`gradviz demo`: a real training in a process of its own, a progress bar here, the dashboard live on it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import AnyStr as _Text
from urllib.parse import urlencode

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gradviz.cli.dashboard import Dashboard, announce, wait_until_up
from gradviz.cli.terminal import out, say
from gradviz.errors import GradvizError

_CLOSING_SECONDS = 15.0


def run_demo(
    folder: Path | None, *, updates: int, port: int | None, open_browser: bool, train_only: bool
) -> None:
    """Train, record and show; returns when the training is done and the dashboard was stopped."""
    from gradviz.store.places import default_folder, default_place

    require_torch()
    place = (folder or default_folder()).expanduser().absolute()
    with _leaving_on_sigterm(), training(place, updates) as child:
        run = first_report(child)
        say(f"Recording a small transformer, 4 micro-steps an update, to {run}")
        if train_only:
            follow(child, updates)
            say(f"Done. See it with: gradviz view {run.parent}")
            return
        shown_folder = (
            None if run.parent == Path(default_place()).absolute() else run.parent
        )  # None: the samples too
        dashboard = Dashboard.on(shown_folder, host="127.0.0.1", port=port)
        with serving(dashboard, run, open_browser=open_browser) as server:
            follow(child, updates)
            with suppress(KeyboardInterrupt):
                say("The training is done; the dashboard stays. Ctrl-C stops it.")
                server.wait()


def require_torch() -> None:
    """GradvizError with the command that helps when torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise GradvizError(
            "The demo trains a model and needs torch, which is not installed: pip install torch numba. "
            "The dashboard does not need it: `gradviz view` opens it on the shipped sample runs."
        )


@contextmanager
def training(place: Path, updates: int) -> Iterator[subprocess.Popen[str]]:
    """The training, started; ended with this block."""
    command = [
        sys.executable,
        "-m",
        "gradviz.recording.demonstration",
        "--updates",
        str(updates),
        "--dir",
        str(place),
    ]
    on = {
        name: value for name, value in os.environ.items() if name != "GRADVIZ_MODE"
    }  # a demo that is off shows nothing
    child = subprocess.Popen(command, env=on, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    with _ended_after(child):
        yield child


@contextmanager
def serving(dashboard: Dashboard, run: Path, *, open_browser: bool) -> Iterator[subprocess.Popen[bytes]]:
    """The dashboard on `run`, started, announced and, if wanted, opened; ended with this block."""
    command = dashboard.command(open_browser=False)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own interpreter and flags
    with _ended_after(server):
        wait_until_up(dashboard, server)
        announce(dashboard)
        if open_browser:
            webbrowser.open(live_page(dashboard, run))
        yield server


def live_page(dashboard: Dashboard, run: Path) -> str:
    """The address of the Accumulation page on `run`."""
    return f"{dashboard.url}/accumulation?{urlencode({'run': run.name})}"


def first_report(child: subprocess.Popen[str]) -> Path:
    """Where the training records to; GradvizError when it ended before it said so."""
    for line in reports(child):
        return Path(str(line["run"]))
    raise GradvizError(
        f"The training ended with exit code {child.wait()} before its first update; see above."
    )


def follow(child: subprocess.Popen[str], updates: int) -> None:
    """A progress bar over the updates, until the training ends; GradvizError when it failed."""
    columns = (
        TextColumn("update"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("", total=updates, loss=float("nan"))
        for line in reports(child):
            progress.update(task, completed=int(str(line["update"])) + 1, loss=float(str(line["loss"])))
    if child.wait() != 0:
        raise GradvizError(f"The training ended with exit code {child.returncode}; its message is above.")


def reports(child: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    """What the training says, one JSON object a line, as it says it."""
    if child.stdout is not None:
        for line in child.stdout:
            yield json.loads(line)


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """Take SIGTERM for a reason to leave in order: the training and the server must not outlive the demo."""
    before = signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _ended_after(child: subprocess.Popen[_Text]) -> Iterator[subprocess.Popen[_Text]]:
    try:
        yield child
    except KeyboardInterrupt:
        # the child had the same Ctrl-C, and a run may take 10 s to close
        with suppress(subprocess.TimeoutExpired):
            child.wait(_CLOSING_SECONDS)
        raise
    finally:
        if child.poll() is None:
            child.terminate()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
