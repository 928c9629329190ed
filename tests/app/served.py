"""A real dashboard on a free port of this machine, and Debian's chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

APP = Path(__file__).parents[2] / "app"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Server:
    """A running dashboard."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    base: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.base}".rstrip("/")


@contextmanager
def serve(
    folder: Path, working_folder: Path, *, base: str = "", reader: str | None = None
) -> Iterator[Server]:
    """The dashboard on `folder`, started from a working directory that knows nothing of it; `base`: its path.

    `reader` is the command of a browser that it may open.
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(APP / "main.py")]
    flags = [f"--server.headless={str(reader is None).lower()}", f"--server.port={port}"]
    flags += ["--server.fileWatcherType=none", f"--server.baseUrlPath={base}"]
    environment = os.environ | {"PYTHONPATH": str(APP.parent), "HOME": str(working_folder)}
    environment |= {} if reader is None else {"BROWSER": reader}
    with (working_folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *flags, "--", str(folder)],
            cwd=working_folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            server = Server(port, process, folder, base)
            _wait_until_up(server, working_folder / "server.log")
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening_addresses(port: int) -> set[str]:
    """Addresses on which this machine listens on `port`, as the kernel's tables have them (hexadecimal)."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        path = Path(table)
        rows += path.read_text().splitlines()[1:] if path.exists() else []
    fields = [row.split() for row in rows]
    listens = "0A"
    places = [field[1].split(":") for field in fields if field[3] == listens]
    return {address for address, hexadecimal in places if int(hexadecimal, 16) == port}


def _wait_until_up(server: Server, log: Path) -> None:
    for _ in range(600):
        if server.process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):  # a pause that ends early when the server does
            server.process.wait(timeout=0.1)
    raise AssertionError(f"The dashboard did not start: {log.read_text(errors='replace')}")
