"""`gradviz ls`: the runs of a folder, one a line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.choosing import chosen_place
from gradviz.cli.terminal import ago, print_json, print_table, say, shown

if TYPE_CHECKING:
    from gradviz.store import RunSummary

_HEADINGS = ("run", "state", "model", "layers", "n", "updates", "last event")
_NUMBERS = ("layers", "n", "updates", "last event")


def print_runs(folder: Path | str | None, *, as_json: bool) -> None:
    """Print the runs of `folder`, newest first, as a table or as JSON."""
    from gradviz.store import list_runs

    place = chosen_place(folder)
    runs = list_runs(place)
    if as_json:
        print_json([asdict(run) for run in runs])
    elif not runs:
        say(f"No runs in {place}. Record one with `gradviz demo`, or with gradviz.watch(model, optimizer).")
    else:
        print_table(_HEADINGS, (_row(run) for run in runs), right=_NUMBERS)
        for run in runs:
            _print_remarks(run)


def _print_remarks(run: RunSummary) -> None:
    if run.dropped:
        say(f"{shown(run.path.name)}: {run.dropped} events were dropped", style="yellow")
    if run.problem:
        say(f"{shown(run.path.name)}: {shown(run.problem)}", style="yellow")


def _row(run: RunSummary) -> tuple[object, ...]:
    last = ago(run.seconds_since_last_event)
    counts = (run.layers, run.accumulation_steps, run.updates)
    return (run.path.name, run.state.value, run.model_class, *counts, f"{last} ago" if last else "")
