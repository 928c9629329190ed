"""`gradviz view`: safe flags, a free port, the right file, and honest words about who can see it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from gradviz.cli import dashboard
from gradviz.cli.dashboard import Dashboard, app_entry, port_on, tunnel_line, wait_until_up
from gradviz.errors import GradvizError
from tests.cli.conftest import Command

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that `view` became."""
    lines: list[list[str]] = []

    def execv(program: str, line: list[str]) -> NoReturn:
        assert program == sys.executable
        lines.append(line)
        sys.exit(0)

    monkeypatch.setattr(os, "execv", execv)
    return lines


def test_view_becomes_streamlit_on_localhost(gradviz: Command, executed: list[list[str]]) -> None:
    answer = gradviz("view", "--no-browser")
    (line,) = executed
    assert answer.code == 0
    assert line[1:4] == ["-m", "streamlit", "run"]
    assert Path(line[4]) == ROOT / "app" / "main.py"
    assert {
        "--server.address=127.0.0.1",
        "--browser.gatherUsageStats=false",
        "--server.showEmailPrompt=false",
        "--server.enableCORS=true",
        "--server.enableXsrfProtection=true",
        "--server.enableStaticServing=false",
        "--server.headless=true",
    } <= set(line)
    assert "--" not in line
    assert "Dashboard: http://127.0.0.1:" in answer.out
    assert "ssh" not in answer.out


def test_view_takes_a_folder(gradviz: Command, executed: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert gradviz("view", "runs").code == 0
    assert executed[0][-2:] == ["--", str(tmp_path / "runs")]
    assert "--server.headless=true" not in executed[0]


def test_view_on_all_addresses_warns_and_tells_the_tunnel(
    gradviz: Command, executed: list[list[str]]
) -> None:
    answer = gradviz("view", "--host", "0.0.0.0")  # noqa: S104 - nothing is started
    assert "--server.address=0.0.0.0" in executed[0]
    assert "Warning" in answer.out
    assert "ssh -N -L" in answer.out
    assert "http://127.0.0.1:" in answer.out


def test_over_ssh_the_tunnel_line_names_this_machine(
    gradviz: Command, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.8 22")
    answer = gradviz("view")
    assert "@192.0.2.8" in answer.out
    assert "Warning" not in answer.out


def test_without_ssh_the_tunnel_line_has_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert tunnel_line(8501).endswith(f"@{socket.gethostname()}")


def test_a_folder_that_is_not_there(gradviz: Command, executed: list[list[str]], tmp_path: Path) -> None:
    answer = gradviz("view", "nowhere")
    assert (answer.code, executed) == (2, [])
    assert f"There is no folder {tmp_path / 'nowhere'}" in answer.err
    assert "Traceback" not in answer.err


def test_a_file_is_not_a_folder(gradviz: Command, executed: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = gradviz("view", "file")
    assert answer.code == 2
    assert f"{tmp_path / 'file'} is a file" in answer.err


def test_a_taken_port_is_said_and_the_next_free_one_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(GradvizError, match=f"Port {port} on 127.0.0.1 is taken"):
            port_on("127.0.0.1", port)
    assert port_on("127.0.0.1", port) == port


def test_no_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_is_free", lambda _host, port: port == 8503)
    assert port_on("127.0.0.1", None) == 8503
    monkeypatch.setattr(dashboard, "_is_free", lambda _host, _port: False)
    with pytest.raises(GradvizError, match="No free port from 8501"):
        port_on("127.0.0.1", None)


def test_a_host_of_another_machine(gradviz: Command, executed: list[list[str]]) -> None:
    answer = gradviz("view", "--host", "no.such.host.invalid")
    assert answer.code == 2
    assert "no.such.host.invalid is not an address of this machine" in answer.err


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("::", "http://127.0.0.1:1")],
)
def test_addresses_to_type(host: str, url: str) -> None:
    assert Dashboard(host, 1, None).url == url


def test_in_a_wheel_the_app_is_inside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside = tmp_path / "gradviz" / "_app" / "main.py"
    inside.parent.mkdir(parents=True)
    inside.write_text("")
    monkeypatch.setattr(dashboard, "__file__", str(tmp_path / "gradviz" / "cli" / "dashboard.py"))
    assert app_entry() == inside
    inside.unlink()
    with pytest.raises(GradvizError, match="The dashboard is missing"):
        app_entry()


def test_a_server_that_ends_at_once_is_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as server:
        server.wait()
        with pytest.raises(GradvizError, match="ended with exit code 3"):
            wait_until_up(Dashboard("127.0.0.1", 1, None), server)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
        with pytest.raises(GradvizError, match=r"did not answer at http://127\.0\.0\.1:1 within 0 s"):
            wait_until_up(Dashboard("127.0.0.1", 1, None), server, seconds=0)
        server.communicate(b"\n")


def test_a_real_server_answers(tmp_path: Path) -> None:
    shown = Dashboard("127.0.0.1", port_on("127.0.0.1", None), None)
    line = shown.command(open_browser=False)
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_up(shown, server)
        finally:
            server.terminate()
    assert list(tmp_path.iterdir()) == []
