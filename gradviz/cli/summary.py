"""`gradviz summary`: what one run holds, in a dozen lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.terminal import print_facts, print_json, say, shown
from gradviz.texts import catalogue, text

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

_ROWS_AT_ONCE = 2_000_000
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
    skipped: int


def count_windows(run: Run) -> Windows:
    """Count the windows of `run` as its ledger tells them; nothing is counted modulo n."""
    lengths: Counter[int] = Counter()
    resets: Counter[str] = Counter()
    consumed = edited = nonfinite = skipped = 0
    for ledger in _ledgers(run):
        lengths.update(map(int, ledger["length"]))
        resets.update(map(str, ledger["reset"]))
        consumed += int(ledger["consumed"].sum())
        skipped += int(ledger["skipped"].sum())
        edited += int((ledger["edits"] > 0).sum())
        nonfinite += int((ledger["nonfinite"] > 0).sum())
    counted = dict(sorted(lengths.items()))
    return Windows(lengths.total(), counted, consumed, dict(resets), edited, nonfinite, skipped)


def _ledgers(run: Run) -> Iterator[pd.DataFrame]:
    """The window ledger in pieces of a bounded size, however long the run is."""
    from gradviz.analysis import window_ledger

    if run.updates is None or run.last_event is None:
        return
    first, last = run.updates
    rows_of_an_update = max(1, len(run.layers) * (run.last_event + 1) // (last - first + 1))
    size = max(1, _ROWS_AT_ONCE // rows_of_an_update)
    for start in range(first, last + 1, size):
        piece = (start, start + size - 1)
        events = run.events(updates=piece)
        yield window_ledger(run.gradients(updates=piece, columns=_LEDGER_COLUMNS), events).frame


def print_summary(path: Path, *, rank: int | None = None, as_json: bool) -> None:
    """Print what the run at `path` holds: one rank of it, or all together."""
    from gradviz.store import open_run

    run = open_run(path.absolute(), rank=rank)
    windows = count_windows(run)
    if as_json:
        print_json(_as_json(run, windows))
        return
    print_facts(_facts(run, windows))
    for code in run.metadata.get("not_visible") or ():
        say(hidden(code), style="dim")
    for part in run.damaged:
        say(f"damaged, not shown: {shown(part.path)}: {shown(part.reason)}", style="yellow")


def hidden(code: object) -> str:
    """The sentence for a code of `not_visible`; an unknown one, of a newer version, stands for itself."""
    key = f"hidden.{code}"
    return text(key) if key in catalogue("en") else f"not visible: {shown(code)}"


def _as_json(run: Run, windows: Windows) -> dict[str, object]:
    return {
        "name": run.name,
        "path": str(run.path),
        "state": run.state.value,
        "reason": run.reason,
        "metadata": {key: value for key, value in run.metadata.items() if key != "layers"},
        "layers": len(run.layers),
        "elements": int(run.layers["numel"].sum()),
        "last_event": run.last_event,
        "rank": run.rank,
        "ranks": run.ranks,
        "missing_ranks": run.missing_ranks,
        "segments": run.segments.to_dict("records"),
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
        ("state", f"{run.state.value} ({run.reason})" if run.reason else run.state.value),
        ("created", run.metadata.get("created")),
        ("resumed", _resumed(run)),
        ("ranks", _ranks(run)),
        ("model", run.metadata.get("model_class") or None),
        ("layers", f"{len(layers)} with {int(layers['numel'].sum()):,} elements"),
        ("frozen", f"{frozen} layers" if frozen else None),
        ("windows", f"{windows.observed}, {windows.consumed} of them consumed by an update"),
        ("lengths", _lengths(windows.lengths, declared)),
        ("resets", ", ".join(f"{count} {how}" for how, count in windows.resets.items()) or None),
        ("skipped", f"{windows.skipped} updates, by the GradScaler" if windows.skipped else None),
        ("edits", f"in {windows.edited} windows" if windows.edited else None),
        ("not finite", f"{windows.nonfinite} windows" if windows.nonfinite else None),
        ("dropped", f"{run.dropped} events" if run.dropped else None),
        ("gaps", ", ".join(f"events {first} to {last}" for first, last in run.gaps) or None),
    ]


def _resumed(run: Run) -> str | None:
    """`at update 12, at update 40`: where a process went on after another one."""
    seams = sorted({int(one) for one in run.segments["first_update"]})[1:]
    return ", ".join(f"at update {update}" for update in seams) or None


def _ranks(run: Run) -> str | None:
    """`0, 1 together; 2, 3 recorded nothing here`, or the one rank that is shown."""
    ranks, missing = (", ".join(map(str, of)) for of in (run.ranks, run.missing_ranks))
    if not missing and len(run.ranks) == 1:
        return None
    shown = f"{run.rank} alone, of {ranks}" if run.rank is not None else f"{ranks} together"
    return f"{shown}; {missing} recorded nothing here" if missing else shown


def _lengths(lengths: Mapping[int, int], declared: object) -> str | None:
    """`4 micro-steps (180 windows), 2 (15); 4 declared`."""
    if not lengths:
        return None
    common = sorted(lengths.items(), key=lambda pair: -pair[1])
    first, *others = (f"{length} micro-step{'s' * (length != 1)}, {count} times" for length, count in common)
    return "; ".join([first, *others]) + (f" (declared: {declared})" if declared is not None else "")
