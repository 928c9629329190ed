"""Start the dashboard: which file, address and flags, and what to tell a user on a remote machine."""

from __future__ import annotations

import getpass
import ipaddress
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from gradviz.cli.choosing import chosen_place
from gradviz.cli.terminal import say
from gradviz.errors import GradvizError

FIRST_PORT = 8501
_PORTS_TRIED = 50

# Spelled out, so that neither the environment nor a config file of the user's can weaken them.
_SAFE_FLAGS = (
    "--browser.gatherUsageStats=false",
    "--server.showEmailPrompt=false",
    "--server.enableCORS=true",
    "--server.enableXsrfProtection=true",
    "--server.enableStaticServing=false",
    "--server.fileWatcherType=none",
)


@dataclass(frozen=True)
class Dashboard:
    """One dashboard to start: on which address, port and folder (None: your runs and the samples)."""

    host: str
    port: int
    folder: Path | None

    @classmethod
    def on(cls, folder: Path | str | None, *, host: str, port: int | None) -> Dashboard:
        """Check the folder and the address, and find a free port; of a URL, the folder of its copies."""
        from gradviz.store.mirror import local_copies
        from gradviz.store.places import default_place
        from gradviz.store.urls import is_url

        wanted = default_place() if folder is None else folder
        chosen = None if folder is None and not is_url(wanted) else chosen_place(wanted)
        return cls(host, port_on(host, port), local_copies(chosen) if isinstance(chosen, str) else chosen)

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - recognised, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def command(self, *, open_browser: bool) -> list[str]:
        """The command line that serves it, until it is stopped."""
        flags = [f"--server.address={self.host}", f"--server.port={self.port}", *_SAFE_FLAGS]
        if not open_browser:
            flags.append("--server.headless=true")
        folder = ["--", str(self.folder)] if self.folder is not None else []
        return [sys.executable, "-m", "streamlit", "run", str(app_entry()), *flags, *folder]


def app_entry() -> Path:
    """`main.py` of the dashboard: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for entry in (package / "_app" / "main.py", package.parent / "app" / "main.py"):
        if entry.is_file():
            return entry
    raise GradvizError(
        f"The dashboard is missing: neither {package / '_app'} nor {package.parent / 'app'} is there. "
        "Install again: pip install --force-reinstall gradviz-dashboard"
    )


def port_on(host: str, wanted: int | None) -> int:
    """`wanted` if it is free, else (nothing wanted) the first free port from 8501 on."""
    ports = [wanted] if wanted is not None else range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED)
    for port in ports:
        if _is_free(host, port):
            return port
    if wanted is not None:
        raise GradvizError(
            f"Port {wanted} on {host} is taken or not allowed. Leave --port out to get a free one."
        )
    raise GradvizError(f"No free port from {FIRST_PORT} to {ports[-1]} on {host}. Name one with --port.")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise GradvizError(
                f"{host} is not an address of this machine. Leave --host out for 127.0.0.1."
            ) from error
        except (OSError, OverflowError):
            return False
    return True


def view_forever(dashboard: Dashboard, *, open_browser: bool) -> None:
    """Print where the dashboard will be, then become its server; Ctrl-C stops it."""
    command = dashboard.command(open_browser=open_browser)
    announce(dashboard)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell: our own interpreter and flags


def announce(dashboard: Dashboard) -> None:
    """Say the address; on a remote machine how to reach it, on an open one who else can."""
    say(f"Dashboard: {dashboard.url}   (Ctrl-C stops it)", style="bold")
    exposed = not _is_loopback(dashboard.host)
    if exposed:
        say(
            f"Warning: on {dashboard.host} everyone who reaches this machine sees your runs, no password. "
            "Safer: leave --host out and tunnel from your own machine:",
            style="yellow",
        )
    elif "SSH_CONNECTION" in os.environ:
        say("From your own machine, then open the address above there:")
    if exposed or "SSH_CONNECTION" in os.environ:
        say(f"  {tunnel_line(dashboard.port)}")


def tunnel_line(port: int) -> str:
    """The `ssh` command that carries the dashboard to the machine where it is typed."""
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{_this_machine()}"


def _this_machine() -> str:
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return connection[2] if len(connection) == 4 else socket.gethostname()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def wait_until_up(dashboard: Dashboard, server: subprocess.Popen[bytes], *, seconds: float = 60.0) -> None:
    """Return when the server answers; GradvizError when it ended or did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise GradvizError(
                f"The dashboard ended with exit code {server.returncode}; its message is above."
            )
        if _answers(f"{dashboard.url}/_stcore/health"):
            return
        time.sleep(0.1)
    raise GradvizError(f"The dashboard did not answer at {dashboard.url} within {seconds:.0f} s.")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http to this machine, built above
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
