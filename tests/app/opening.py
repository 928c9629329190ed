"""What a test of the dashboard opens and reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app"
PAGES = sorted(page.stem for page in (APP / "app_pages").glob("*.py"))

Open = Callable[..., AppTest]


def spoken(app: AppTest) -> str:
    """Every word that stands on the page."""
    kinds = ("title", "header", "caption", "markdown", "info", "warning", "error", "code")
    shown = [str(element.value) for kind in kinds for element in app.get(kind)]
    return "\n".join(shown + [str(metric.value) for metric in app.metric])


def assert_sound(app: AppTest) -> None:
    """No traceback, and no section that failed."""
    assert not app.exception, [one.value for one in app.exception]
    assert not app.error, [one.value for one in app.error]
