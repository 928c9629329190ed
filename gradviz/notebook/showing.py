"""`show`: a run as the last line of a notebook's cell."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from gradviz.errors import GradvizError
from gradviz.notebook.serving import dashboard_on
from gradviz.store import Run, RunSummary, open_run, sample_folder

HEIGHT = 900
SWITCH = "GRADVIZ_SHOW"  # in the environment; `static` asks for the report without a server


@dataclass(frozen=True)
class Shown:
    """What a notebook shows in a frame. `url` is the dashboard's, None where it is the report; `why` says why."""

    url: str | None
    why: str | None = None
    markup: str = field(default="", repr=False)

    def _repr_html_(self) -> str:
        return self.markup


def show(
    run: Run | RunSummary | str | Path,
    *,
    page: str = "accumulation",
    height: int = HEIGHT,
    language: str | None = None,
    static: bool | None = None,
) -> Shown:
    """Show a run in a notebook: the dashboard on it, in a frame of `height` pixels below the cell.

    The first call starts a dashboard on this machine only (127.0.0.1), later ones use it again; it ends with the
    notebook's kernel. Where none can be started, with `static=True` or with `GRADVIZ_SHOW=static` in the
    environment, the frame holds the report of `gradviz report` (about 5 MB, part of the notebook from then on).
    The browser must reach this machine: with a kernel elsewhere, forward the port or ask for `static=True`.

    Args:
        run: a run, a line of `list_runs`, or a path.
        page: the page to open: `accumulation`, `gradient_flow`, `heat_map`, `diagnosis`.
        height: pixels.
        language: "en" or "zh"; without it that of the browser (of a report: English).
        static: True for the report, False for nothing but the dashboard.

    Raises:
        RunNotFoundError, RunFormatError: there is no such run, or it cannot be read.
        GradvizError: with `static=False`, no dashboard can be started.
    """
    opened = run if isinstance(run, Run) else open_run(run.path if isinstance(run, RunSummary) else run)
    if static or (static is None and os.environ.get(SWITCH) == "static"):
        return _report(opened, height, language, why="asked for")
    try:
        return _dashboard(opened, page, height, language)
    except GradvizError as error:
        if static is False:
            raise
        return _report(opened, height, language, why=str(error))


def _dashboard(run: Run, page: str, height: int, language: str | None) -> Shown:
    path = run.path.resolve()
    dashboard = dashboard_on(path.parent)
    is_sample = path.parent == sample_folder().resolve()
    query = {"run": f"samples:{path.name}" if is_sample else path.name}
    if run.rank is not None:
        query["rank"] = str(run.rank)
    if language is not None:
        query["lang"] = language
    url = f"{dashboard.url}/{page}?{urlencode(query)}"
    frame = _frame("src", url, height)
    link = f'<a href="{html.escape(url)}" target="_blank" rel="noopener">{html.escape(dashboard.url)}</a>'
    hint = (
        "Nothing above? The browser must reach that address; gradviz.show(run, static=True) needs no server."
    )
    return Shown(url, None, f"<div>{frame}<p><small>{link} · {html.escape(hint)}</small></p></div>")


def _report(run: Run, height: int, language: str | None, *, why: str) -> Shown:
    from gradviz.reporting import report_html

    page = report_html(run, language=language or "en")
    # Its scripts run in an origin of their own: they see neither the notebook nor its cookies.
    return Shown(None, why, _frame("srcdoc", page, height, 'sandbox="allow-scripts"'))


def _frame(source: str, content: str, height: int, more: str = "") -> str:
    style = f"width:100%;height:{int(height)}px;border:1px solid #8884;border-radius:6px"
    return f'<iframe title="gradviz" {source}="{html.escape(content)}" style="{style}" {more}></iframe>'
