"""The dashboard inside a page of another address, as a notebook has it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import expect, sync_playwright

import gradviz
from gradviz.notebook import serving
from tests.app.browsing import BROWSER_TEST
from tests.app.recorded import record_run
from tests.app.served import CHROMIUM, CHROMIUM_FLAGS

pytestmark = BROWSER_TEST


def page_with(markup: str) -> ThreadingHTTPServer:
    class Notebook(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!DOCTYPE html><title>notebook</title><body>{markup}".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Notebook)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_the_dashboard_and_the_report_live_in_a_frame(tmp_path: Path) -> None:
    run = gradviz.open_run(record_run(tmp_path, windows=[4] * 6))
    frames = gradviz.show(run)._repr_html_() + gradviz.show(run, static=True)._repr_html_()
    notebook = page_with(frames)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
            page = chromium.new_page(viewport={"width": 1100, "height": 2000}, locale="en-US")
            page.goto(f"http://localhost:{notebook.server_port}/")
            dashboard, report = page.frame_locator("iframe").nth(0), page.frame_locator("iframe").nth(1)
            expect(dashboard.get_by_role("heading", level=1)).to_have_text("Accumulation")
            expect(dashboard.locator(".js-plotly-plot").first).to_be_visible()
            expect(report.locator("h1")).to_have_text(run.name)
            expect(report.locator(".js-plotly-plot").first).to_be_attached()
            chromium.close()
    finally:
        notebook.shutdown()
        notebook.server_close()
        serving.stop_all()
