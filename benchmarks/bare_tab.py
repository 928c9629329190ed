"""A tab of a browser that no debugger listens to: what a reader's browser does, not what a driven one does.

Playwright turns on the protocol's domain `Runtime` in every page. V8 then looks up where each error was made, and reads
all of Plotly's 4.7 MB again for each function around it: 0.7 s of the processor that no reader's browser takes. A tab
of this kind is opened beside Playwright's own, over its session with the browser, and leaves that domain off. It keeps
the time itself, too: to ask it again and again how far it is would take the processor away from what is measured.
"""

from __future__ import annotations

import base64
import json
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATIENCE = 120.0  # seconds
PAUSE = 0.02
GLANCE = 0.2
CALM = 1.0
# Milliseconds from the address to two frames after it is in the page: the first that holds it has been shown by then.
_TIMER = """(() => {
  let met = false;
  const look = () => {
    const one = met ? null : document.querySelector(%s);
    if (!one) return;
    if (!one.getBoundingClientRect().height) return requestAnimationFrame(look);
    met = true;
    watcher.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.shownAfter = performance.now(); }));
  };
  const watcher = new MutationObserver(look);
  watcher.observe(document, {childList: true, subtree: true});
})()"""


class BareTab:
    """A new tab with nothing in its cache, as a context; `visit` opens an address in it."""

    def __init__(self, browser: Browser, *, width: int, height: int) -> None:
        self._session = browser.new_browser_cdp_session()
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._session.on("Target.receivedMessageFromTarget", self._hear)
        self._context = self._session.send("Target.createBrowserContext")["browserContextId"]
        tab = {"url": "about:blank", "browserContextId": self._context, "width": width, "height": height}
        target = self._session.send("Target.createTarget", tab)["targetId"]
        attached = self._session.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        self._tab = attached["sessionId"]
        self.received = 0  # bytes on websockets
        self.ask("Page.enable")
        self.ask("Performance.enable", timeDomain="threadTicks")
        self.ask("Network.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.send("Target.disposeBrowserContext", {"browserContextId": self._context})
        self._session.detach()

    def visit(self, address: str, drawn: str) -> float:
        """Seconds until what the selector `drawn` names has been shown."""
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=_TIMER % json.dumps(drawn))
        self.ask("Page.navigate", url=address)
        return float(self._wait("window.shownAfter")) / 1e3

    def settle(self, without: str) -> None:
        """Wait until nothing that the selector names is left, and nothing more comes."""
        self._wait(f"!document.querySelector({json.dumps(without)})")
        before = -1
        while before != self.received:
            before = self.received
            time.sleep(CALM)
            self._value("0")

    def _wait(self, expression: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (value := self._value(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"Not within {PATIENCE:.0f} s: {expression}")
            time.sleep(GLANCE)
        return value

    def busy(self) -> float:
        """Seconds of the processor that the page's own thread has taken."""
        metrics = self.ask("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Send one command of Chromium's protocol to the tab, and wait for the answer."""
        self._asked += 1
        message = json.dumps({"id": self._asked, "method": method, "params": params})
        self._session.send("Target.sendMessageToTarget", {"sessionId": self._tab, "message": message})
        while self._asked not in self._answers:
            time.sleep(PAUSE)
            self._session.send("Browser.getVersion")  # answers are heard while something is asked
        answer = self._answers.pop(self._asked)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def _value(self, expression: str) -> object:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def _hear(self, event: dict[str, Any]) -> None:
        if event["sessionId"] != self._tab:
            return
        told = json.loads(event["message"])
        if "id" in told:
            self._answers[told["id"]] = told
        elif told["method"] == "Network.webSocketFrameReceived":
            self.received += len(base64.b64decode(told["params"]["response"]["payloadData"]))
