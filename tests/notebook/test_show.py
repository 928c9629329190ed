"""A run in a notebook: in a frame, escaped, and with a server that never outlives whoever started it."""

from __future__ import annotations

import html
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import gradviz
from gradviz.errors import GradvizError, RunNotFoundError
from gradviz.notebook import serving
from gradviz.store import sample_folder
from tests.app.recorded import record_run

HOSTILE = "</table><script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e"


@pytest.fixture(autouse=True)
def no_dashboard_stays() -> Iterator[None]:
    yield
    serving.stop_all()


def answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=5):
            return True
    except OSError:
        return False


def test_the_dashboard_is_started_once_framed_and_ended(tmp_path: Path) -> None:
    run = gradviz.open_run(record_run(tmp_path, "first"))
    shown = gradviz.show(run, page="diagnosis", height=500, language="zh")
    assert shown.url is not None
    parts = urlsplit(shown.url)
    assert (parts.hostname, parts.path) == ("127.0.0.1", "/diagnosis")
    assert parse_qs(parts.query) == {"run": [run.path.name], "lang": ["zh"]}
    markup = shown._repr_html_()
    assert f'<iframe title="gradviz" src="{html.escape(shown.url)}"' in markup
    assert "height:500px" in markup
    assert "<script" not in markup
    with urllib.request.urlopen(shown.url) as answer:  # noqa: S310 - http to this machine; nothing forbids a frame
        assert "X-Frame-Options" not in answer.headers
        assert "frame-ancestors" not in str(answer.headers.get("Content-Security-Policy"))
    again = gradviz.show(record_run(tmp_path, "second"))
    assert again.url is not None
    assert urlsplit(again.url).port == parts.port
    serving.stop_all()
    assert not answers(shown.url)


def test_a_sample_run_is_called_as_the_dashboard_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gradviz.notebook.showing.dashboard_on", lambda folder: serving.Dashboard("::1", 1, folder)
    )
    shown = gradviz.show(sample_folder() / "never-resets")
    assert shown.url == "http://[::1]:1/accumulation?run=samples%3Anever-resets"


def test_a_killed_process_takes_its_dashboard_along(tmp_path: Path) -> None:
    path = record_run(tmp_path)
    script = (
        f"import gradviz, os; print(gradviz.show({str(path)!r}).url, flush=True); os.kill(os.getpid(), 9)"
    )
    # The dashboard has the same stderr: run() returns when both have let go of it.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout[:17]) == (-9, "http://127.0.0.1:")
    assert not answers(done.stdout.strip())


@pytest.mark.parametrize("way", ["argument", "environment", "no streamlit"])
def test_the_report_where_there_is_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = record_run(tmp_path, HOSTILE)
    if way == "environment":
        monkeypatch.setenv("GRADVIZ_SHOW", "static")
    if way == "no streamlit":
        monkeypatch.setattr("gradviz.notebook.serving.find_spec", lambda name: None)
    shown = gradviz.show(path, static=True if way == "argument" else None)
    assert shown.url is None
    assert serving._running == {}
    assert ("streamlit" in str(shown.why)) == (way == "no streamlit")
    markup = shown._repr_html_()
    frame = re.fullmatch(
        r'<iframe title="gradviz" srcdoc="([^"]*)" style="[^"]*" sandbox="allow-scripts"></iframe>', markup
    )
    assert frame is not None
    page = html.unescape(frame[1])
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in html.unescape(page[:400])
    assert "<script>alert" not in page


def test_without_a_way_back_the_reason_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradviz.notebook.serving.find_spec", lambda name: None)
    with pytest.raises(GradvizError, match="needs streamlit"):
        gradviz.show(record_run(tmp_path), static=False)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="No run at"):
        gradviz.show(tmp_path / "nothing")


def test_runs_are_small_tables_of_literal_text(tmp_path: Path) -> None:
    path = record_run(tmp_path, HOSTILE, model_class=HOSTILE, windows=[4] * 3)
    runs = gradviz.list_runs(tmp_path)
    shown = [gradviz.open_run(path)._repr_html_(), runs[0]._repr_html_(), runs._repr_html_()]
    for markup in shown:
        assert set(re.findall(r"<(\w+)", markup)) <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}
        assert "\u202e" not in markup
        assert "&lt;script&gt;" in markup
        assert ">3<" in markup  # windows
        assert len(markup) < 4000


def test_a_run_that_is_gone_still_has_a_name(tmp_path: Path) -> None:
    import shutil

    path = record_run(tmp_path)
    run = gradviz.open_run(path)
    shutil.rmtree(path)
    assert path.name in run._repr_html_()
