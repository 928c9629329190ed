"""The dashboards of this process: one for each folder of runs, on 127.0.0.1, ended with the process."""

from __future__ import annotations

import atexit
import subprocess
from importlib.util import find_spec
from pathlib import Path

from gradviz.cli.dashboard import Dashboard, wait_until_up
from gradviz.errors import GradvizError

_running: dict[Path, tuple[Dashboard, subprocess.Popen[bytes]]] = {}


def dashboard_on(folder: Path) -> Dashboard:
    """The dashboard that shows `folder`: the one that runs already, else a new one.

    Raises GradvizError where none can be started: streamlit is missing, no port is free, or it ended at once.
    """
    if folder in _running:
        dashboard, server = _running[folder]
        if server.poll() is None:
            return dashboard
    if find_spec("streamlit") is None:
        raise GradvizError("The dashboard needs streamlit, which is not installed: pip install streamlit")
    dashboard = Dashboard.on(folder, host="127.0.0.1", port=None)
    server = _started(dashboard)
    try:
        wait_until_up(dashboard, server)
    except GradvizError:
        _end(server)
        raise
    _running[folder] = dashboard, server
    return dashboard


def _started(dashboard: Dashboard) -> subprocess.Popen[bytes]:
    command = dashboard.command(open_browser=False)
    command[command.index("streamlit")] = "gradviz.notebook.tethered"
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S603 - our own module


@atexit.register
def stop_all() -> None:
    """End every dashboard that this process started."""
    while _running:
        _, (_, server) = _running.popitem()
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.stdin is not None:
        server.stdin.close()  # its tether
    server.wait()
