"""The order of the runs on the page Runs: the whole list is sorted, not the rows at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from dashboard_findings import verdict_of
from dashboard_widgets import pick_from_menu
from dashboard_words import say, say_plain

from gradviz.schema import RunState
from gradviz.store import RunSummary

RunOrder = Literal["newest", "oldest", "name", "state", "windows", "findings"]
STATES = (
    RunState.LIVE, RunState.CRASHED, RunState.DAMAGED, RunState.INTERRUPTED, RunState.STOPPED,
    RunState.SUPERSEDED, RunState.FINISHED,
)  # fmt: skip
_DIGITS = re.compile(r"(\d+)", re.ASCII)


def order_menu() -> RunOrder:
    """What the reader wants to see first."""
    return pick_from_menu(
        "sort",
        say("runs.order"),
        get_args(RunOrder),
        lambda one: say_plain(f"runs.order_{one}"),
        default="newest",
        visible=False,
    )


def in_order(runs: Mapping[str, RunSummary], order: RunOrder) -> dict[str, RunSummary]:
    """The runs, which come newest first, in another order; equals stay newest first."""
    if order == "newest":
        return dict(runs)
    key = _KEYS[order]
    return dict(sorted(runs.items(), key=lambda pair: key(pair[1])))


def _by_name(run: RunSummary) -> list[tuple[int, str]]:
    """`run-9` stands before `run-10`."""
    parts = _DIGITS.split(run.name.casefold())
    return [(int(part[:300]), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def _by_findings(run: RunSummary) -> tuple[int, int]:
    """The worst level first, then the most findings; what is not known stands at the end."""
    known = verdict_of(run)
    if known is None or known.count < 0:
        return 1, 0
    return (0 if known.level is None else -known.level.rank - 1), -known.count


_KEYS: dict[RunOrder, Callable[[RunSummary], Any]] = {
    "oldest": lambda run: run.created,
    "name": _by_name,
    "state": lambda run: STATES.index(run.state),
    "windows": lambda run: -(run.updates or 0),
    "findings": _by_findings,
}
