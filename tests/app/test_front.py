"""What stands before Streamlit's server: its own files, its page with ours in it, the reader's browser."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import streamlit

from tests.app.served import APP, serve

STATIC = Path(streamlit.__file__).parent / "static"
PAGE = "/accumulation"
PASSED_ON = b"to Streamlit"
# A browser that only notes where it was sent.
READER = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))


def ask(path: str, method: str = "GET") -> tuple[dict[str, str], bytes]:
    """Headers and body of the answer; behind it is a server that says that it was asked."""
    from dashboard_front import Front

    told: list[dict[str, Any]] = []

    async def streamlit_server(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": PASSED_ON})

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        raise AssertionError

    asyncio.run(Front(streamlit_server)({"type": "http", "method": method, "path": path}, receive, send))
    headers = {name.decode(): value.decode() for name, value in told[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in told[1:])


def test_every_file_that_the_page_names_is_streamlits_own() -> None:
    _, page = ask(PAGE)
    named = re.findall(r'(?:src|href)="[.](/static/[^"]+)"', page.decode())
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    assert {Path(name).suffix for name in named} >= kinds.keys()
    for name in named:
        headers, body = ask(name)
        assert body == (STATIC / name[1:]).read_bytes()
        assert headers["content-type"] == kinds.get(Path(name).suffix, headers["content-type"])
        assert "immutable" in headers["cache-control"]


def test_the_page_is_streamlits_with_our_script_first_and_our_style_last() -> None:
    headers, page = ask(PAGE)
    script, style = ((APP / name).read_text(encoding="utf-8") for name in ("front.js", "style.css"))
    plotly = re.search(
        r'<link rel="modulepreload" crossorigin href="./static/js/PlotlyChart[^>]+>', page.decode()
    )
    assert plotly is not None
    rest = page.decode().replace(plotly[0], "")
    assert (
        rest.index(script) < rest.index('<script type="module"') < rest.index("</head>") < rest.index(style)
    )
    rest = rest.replace(f"<script>{script}</script>", "").replace(f"<style>{style}</style>", "")
    assert rest == (STATIC / "index.html").read_text(encoding="utf-8")
    assert headers["cache-control"] == "no-cache"


def test_the_landing_page_has_no_picture_to_prepare_for() -> None:
    assert b"PlotlyChart" not in ask("/")[1]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/_stcore/health", "GET"),
        ("/media/picture.png", "GET"),
        ("/static/js/../../../config.toml", "GET"),
        ("/static/../index.html", "GET"),
        ("/static/js/none.js", "GET"),
        ("/nowhere", "GET"),
        (PAGE, "HEAD"),
        (PAGE, "POST"),
    ],
)
def test_all_else_is_streamlits(path: str, method: str) -> None:
    assert ask(path, method)[1] == PASSED_ON


@pytest.mark.parametrize("base", ["", "somewhere"])
def test_a_reader_with_a_browser_sees_the_dashboard_at_once(tmp_path: Path, base: str) -> None:
    note = tmp_path / "address"
    (tmp_path / "reader.py").write_text(READER)
    with serve(
        tmp_path, tmp_path, base=base, reader=f"{sys.executable} {tmp_path / 'reader.py'} {note} %s"
    ) as server:
        for _ in range(300):
            if note.exists() and note.read_text():
                break
            with suppress(subprocess.TimeoutExpired):  # a pause that ends early when the server does
                server.process.wait(timeout=0.1)
        assert note.read_text() == f"http://127.0.0.1:{server.port}/{base}{'/' if base else ''}"
