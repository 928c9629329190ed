"""Streamlit's own files on their way to the browser: what it asks for first comes sooner."""

from __future__ import annotations

import mimetypes
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit
from dashboard_shell import PAGES
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.config import get_option

_FILES = Path(streamlit.__file__).parent / "static"
_SCRIPT, _STYLE = (Path(__file__).with_name(name) for name in ("front.js", "style.css"))
_FOREVER = "public, immutable, max-age=31536000"  # seconds; their names tell their content, as Streamlit says it, too
_TYPES = {".js": "text/javascript", ".css": "text/css"}  # else a system's own table may say something else
_EVERYWHERE = (None, "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


class Front:
    """Answers for the pages and for Streamlit's own files; all else is Streamlit's.

    A browser without a cache asks for a hundred small files before anything is drawn: each is read at once here,
    where Streamlit hands it to a thread. The page itself tells what Streamlit would have to find out: where its server
    is (it tries below the page's own path first, and the console has two errors), the language of the page, how it
    looks, and the file that pictures are drawn with, 4.7 MB: it is loaded while the run is still being read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, root = app, _root()
        found = (file for file in (_FILES / "static").rglob("*") if file.is_file())
        self._files = {root + file.relative_to(_FILES).as_posix(): file for file in found}
        _, *others = PAGES  # the landing page has no path of its own
        self._pages = {root: _page(draws=False)} | {root + name: _page(draws=True) for name in others}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_mine = scope["type"] == "http" and scope["method"] == "GET"
        answer = self._answer(scope["path"]) if is_mine else None
        await (answer or self._app)(scope, receive, send)

    def _answer(self, path: str) -> Response | None:
        if path in self._pages:
            return Response(self._pages[path], media_type="text/html", headers={"Cache-Control": "no-cache"})
        if (file := self._files.get(path)) is None:
            return None
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return Response(file.read_bytes(), media_type=kind, headers={"Cache-Control": _FOREVER})


@asynccontextmanager
async def opened_in_browser(_app: object) -> AsyncIterator[None]:
    """Open the dashboard in the reader's browser, where there is one: Streamlit does so for a script alone."""
    if not get_option("server.headless"):
        host, port = get_option("server.address"), get_option("server.port")
        host = "localhost" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
        scheme = "https" if get_option("server.sslCertFile") else "http"
        address = f"{scheme}://{host}:{port}{_root()}"
        # beside the server: some browsers give the word back only when they are closed
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    yield


def _root() -> str:
    """Path of the landing page."""
    base = get_option("server.baseUrlPath").strip("/")
    return f"/{base}/" if base else "/"


def _page(*, draws: bool) -> str:
    """Streamlit's page with our script before all of its own, and our style behind; `draws`: it will have a picture."""
    page = (_FILES / "index.html").read_text(encoding="utf-8")
    page = page.replace("<head>", f"<head><script>{_SCRIPT.read_text(encoding='utf-8')}</script>", 1)
    page = page.replace("</body>", f"<style>{_STYLE.read_text(encoding='utf-8')}</style></body>", 1)
    plotly = next((_FILES / "static" / "js").glob("PlotlyChart.*.js"), None) if draws else None
    if plotly is None:
        return page
    link = f'<link rel="modulepreload" crossorigin href="./static/js/{plotly.name}">'
    return page.replace("</head>", f"{link}</head>", 1)
