"""Which runs there are: the reader's folder, the shipped samples, and the one that the view names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dashboard_view as view
import streamlit as st
from dashboard_words import escape, printable

from gradviz.errors import GradvizError
from gradviz.store import Run, RunSummary, folders_to_show, list_runs, open_run
from gradviz.store.known_runs import KnownRuns
from gradviz.store.mirror import local_copies
from gradviz.store.places import default_place
from gradviz.store.urls import is_url

SCAN_SECONDS = 3.0  # how old a listing may be; of 10,000 runs that have ended it takes some 0.2 s
REMOTE_SECONDS = 30.0  # the same of a URL: an object store bills each look
OPEN_RUNS = 64  # kept open in a session
SAMPLES = "samples:"
NAMING = ("run", "runs", "base", "other")  # parameters that name runs

_FORBIDDEN = re.compile(r"[\x00-\x1f\\]|^[A-Za-z]:|^[/~]")


@dataclass(frozen=True)
class Shelf:
    """One folder of runs; `runs` maps the id that a link carries to the run, newest first."""

    name: Literal["recorded", "samples"]
    folder: Path
    runs: Mapping[str, RunSummary]

    @property
    def fault(self) -> Literal["missing", "file", "closed"] | None:
        """Why there is nothing to list, if there is a reason: no folder, a file in its place, no right to read it."""
        try:
            next(self.folder.iterdir(), None)
        except FileNotFoundError:
            return "missing"
        except NotADirectoryError:
            return "file"
        except OSError:
            return "closed"
        return None


def shelves() -> list[Shelf]:
    """The reader's own folder first, then the samples (which may be the same)."""
    own, *samples = folders_to_show(recorded_folder())
    if not samples:
        return [Shelf("samples", own, _listed(str(own), SAMPLES))]
    shipped = ((folder, _listed(str(folder), SAMPLES)) for folder in samples)
    return [
        Shelf("recorded", own, _listed(str(own), "")),
        *(Shelf("samples", folder, runs) for folder, runs in shipped if runs),
    ]


def recorded_folder() -> Path:
    """DIR of `streamlit run app/main.py -- DIR`, else $GRADVIZ_DIR, else ./gradviz_runs; absolute.

    Of a URL it is the folder of its copies; where it cannot be listed the page says why, and ends.
    """
    is_ours = Path(sys.argv[0]).name == "main.py"  # under pytest the arguments belong to pytest
    place = sys.argv[1] if is_ours and len(sys.argv) > 1 else default_place()
    if not is_url(place):
        return Path(place).expanduser().absolute()
    try:
        return _copies(str(place))
    except GradvizError as error:
        st.error(escape(str(error)))
        st.stop()


def all_runs() -> dict[str, RunSummary]:
    """Every run of every shelf by id; listed anew when the view names one that has only just begun."""
    runs = _runs()
    asked = view.value("run")
    if asked is not None and asked not in runs and is_plausible(asked):
        forget_listing()
        runs = _runs()
    return runs


def _runs() -> dict[str, RunSummary]:
    known = shelves()
    if len(known) == 1:
        _take_bare_names(known[0].runs)
    return {run_id: summary for shelf in known for run_id, summary in shelf.runs.items()}


def _take_bare_names(samples: Mapping[str, RunSummary]) -> None:
    """Where the samples are all there is, a link may call one by its name alone."""
    for name in NAMING:
        asked = view.values(name)
        full = [one if one in samples or SAMPLES + one not in samples else SAMPLES + one for one in asked]
        if full != asked:
            view.keep(name, full)


def is_plausible(run_id: str) -> bool:
    """Whether `run_id` could name a run below a shelf: judged by its letters alone, no disk is touched."""
    rest = run_id.removeprefix(SAMPLES)
    return _FORBIDDEN.search(rest) is None and all(part not in {"", ".", ".."} for part in rest.split("/"))


def chosen_id(runs: Mapping[str, RunSummary]) -> str | None:
    """The run of the view; without one the newest that can be opened."""
    asked = view.value("run")
    if asked is not None:
        return asked if is_plausible(asked) and asked in runs else None
    return next((run_id for run_id, summary in runs.items() if summary.problem is None), None)


def open_summary(summary: RunSummary) -> Run:
    """The run itself, opened once a session: a `Run` keeps what it has read, and sessions are threads."""
    if not (summary.path / "run.json").is_file():
        raise FileNotFoundError(summary.path)
    opened: dict[str, Run] = st.session_state.setdefault("opened", {})
    path = str(summary.path)
    if path not in opened:
        if len(opened) >= OPEN_RUNS:
            opened.pop(next(iter(opened)))
        opened[path] = open_run(path)
    return opened[path]


def look_again(summary: RunSummary) -> RunSummary | None:
    """The same run as it stands now, without listing its whole folder; None when it is gone."""
    return next(iter(list_runs(summary.path)), None)


def forget_listing() -> None:
    """List anew next time: something is known to have changed."""
    _listed.clear()


@st.cache_resource(ttl=SCAN_SECONDS, max_entries=8, show_spinner=False)
def _listed(folder: str, prefix: str) -> dict[str, RunSummary]:
    root = Path(folder)
    found = list_runs(root, known=_known()) if root.is_dir() else []
    return {prefix + run_id: summary for run_id, summary in _inside(root, found)}


@st.cache_resource(ttl=REMOTE_SECONDS, max_entries=2, show_spinner=False)
def _copies(url: str) -> Path:
    return local_copies(url)


@st.cache_resource(show_spinner=False)
def _known() -> KnownRuns[RunSummary]:
    return KnownRuns()


def _inside(folder: Path, found: list[RunSummary]) -> Iterator[tuple[str, RunSummary]]:
    for summary in found:
        path = summary.path.parts[len(folder.parts) :]
        # `gradviz view RUN`: the folder is itself a run
        yield printable("/".join(path) or folder.name), summary
