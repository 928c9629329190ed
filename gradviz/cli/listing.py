"""`gradviz ls`: the runs of a folder, one a line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.choosing import chosen_folder
from gradviz.cli.terminal import ago, print_json, print_table, say

if TYPE_CHECKING:
    from gradviz.store import RunSummary

_HEADINGS = ("run", "state", "created", "model", "layers", "n", "updates", "events", "dropped", "last event")
_NUMBERS = ("layers", "n", "updates", "events", "dropped", "last event")


def print_runs(folder: Path | None, *, as_json: bool) -> None:
    """Print the runs of `folder`, newest first, as a table or as JSON."""
    from gradviz.store import list_runs

    place = chosen_folder(folder)
    runs = list_runs(place)
    if as_json:
        print_json([asdict(run) for run in runs])
    elif not runs:
        say(f"No runs in {place}. Record one with `gradviz demo`, or with gradviz.watch(model, optimizer).")
    else:
        print_table(_HEADINGS, (_row(run) for run in runs), right=_NUMBERS)
        for run in runs:
            if run.problem:
                say(f"{run.path.name}: {run.problem}", style="yellow")


def _row(run: RunSummary) -> tuple[object, ...]:
    created = run.created.astimezone().strftime("%Y-%m-%d %H:%M")
    last = ago(run.seconds_since_last_event)
    n = run.accumulation_steps
    return (
        run.path.name, run.state.value, created, run.model_class, run.layers, n, run.updates, run.events,
        run.dropped, f"{last} ago" if last else "",
    )  # fmt: skip
