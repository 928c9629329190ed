"""`gradviz summary`: what one run holds, in a dozen lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.terminal import print_facts, print_json, say

if TYPE_CHECKING:
    from gradviz.store import Run

_LEDGER_COLUMNS = (
    "event", "update", "micro_step", "phase", "layer", "l2", "nonfinite", "micro_l2", "micro_nonfinite",
)  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """The windows of a run, counted: how long they were, how they began and ended."""

    observed: int
    lengths: Mapping[int, int]
    consumed: int
    resets: Mapping[str, int]
    edited: int
    nonfinite: int


def count_windows(run: Run) -> Windows:
    """Count the windows of `run` as its ledger tells them; nothing is counted modulo n."""
    from gradviz.analysis import window_ledger

    if run.updates is None:
        return Windows(0, {}, 0, {}, 0, 0)
    ledger = window_ledger(run.gradients(columns=_LEDGER_COLUMNS), run.events()).frame
    lengths = Counter(int(length) for length in ledger["length"])
    return Windows(
        observed=len(ledger),
        lengths=dict(sorted(lengths.items())),
        consumed=int(ledger["consumed"].sum()),
        resets=dict(Counter(map(str, ledger["reset"]))),
        edited=int((ledger["edits"] > 0).sum()),
        nonfinite=int((ledger["nonfinite"] > 0).sum()),
    )


def print_summary(path: Path, *, as_json: bool) -> None:
    """Print what the run at `path` holds."""
    from gradviz.store import open_run

    run = open_run(path)
    windows = count_windows(run)
    if as_json:
        print_json(_as_json(run, windows))
        return
    print_facts(_facts(run, windows))
    for part in run.damaged:
        say(f"damaged, not shown: {part.path}: {part.reason}", style="yellow")


def _as_json(run: Run, windows: Windows) -> dict[str, object]:
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state.value,
        "metadata": {key: value for key, value in run.metadata.items() if key != "layers"},
        "layers": len(run.layers),
        "elements": int(run.layers["numel"].sum()),
        "last_event": run.last_event,
        "windows": asdict(windows),
        "dropped": run.dropped,
        "gaps": [list(gap) for gap in run.gaps],
        "damaged": [asdict(part) for part in run.damaged],
    }


def _facts(run: Run, windows: Windows) -> list[tuple[str, object]]:
    layers = run.layers
    declared = run.metadata.get("accumulation_steps")
    frozen = int((~layers["trainable"].astype(bool)).sum())
    return [
        ("run", run.name),
        ("folder", run.path),
        ("state", run.state.value),
        ("created", run.metadata.get("created")),
        ("model", run.metadata.get("model_class") or None),
        ("layers", f"{len(layers)} with {int(layers['numel'].sum()):,} elements"),
        ("frozen", f"{frozen} layers" if frozen else None),
        ("windows", f"{windows.observed}, {windows.consumed} of them consumed by an update"),
        ("lengths", _lengths(windows.lengths, declared)),
        ("resets", ", ".join(f"{count} {how}" for how, count in windows.resets.items()) or None),
        ("edits", f"in {windows.edited} windows" if windows.edited else None),
        ("not finite", f"{windows.nonfinite} windows" if windows.nonfinite else None),
        ("dropped", f"{run.dropped} events" if run.dropped else None),
        ("gaps", ", ".join(f"events {first} to {last}" for first, last in run.gaps) or None),
    ]


def _lengths(lengths: Mapping[int, int], declared: object) -> str | None:
    """`4 micro-steps (180 windows), 2 (15); 4 declared`."""
    if not lengths:
        return None
    common = sorted(lengths.items(), key=lambda pair: -pair[1])
    first, *others = (f"{length} micro-step{'s' * (length != 1)}, {count} times" for length, count in common)
    return "; ".join([first, *others]) + (f" (declared: {declared})" if declared is not None else "")
