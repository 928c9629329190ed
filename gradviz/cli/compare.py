"""`gradviz compare`: two runs, what they say of themselves, where they part, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.terminal import err, print_json, print_table, say, shown

if TYPE_CHECKING:
    from gradviz.analysis import ComparedFacts, Comparison

_LAYERS = 10  # of the layers that differ most; --json has all
_NAMES = 5
Progress = Callable[[float], object]


def compare_runs(first: Path, second: Path, *, rtol: float, as_json: bool) -> bool:
    """Print how two runs differ; returns whether they are the same: layers, updates and gradients."""
    from gradviz.analysis import compared_facts, comparison
    from gradviz.errors import QueryError
    from gradviz.store import open_run

    if not 0 <= rtol < math.inf:
        raise QueryError(f"A tolerance of {rtol} is none. Give a number from 0 on, such as 1e-5.")
    runs = [open_run(path.absolute()) for path in (first, second)]
    names = (runs[0].name, runs[1].name)
    if names[0] == names[1]:
        names = (first.name, second.name)
    facts = compared_facts(runs, names)
    with bar("comparing") as progress:
        found = comparison(runs[0], runs[1], runs=names, rtol=rtol, progress=progress)
    if not found.compared and found.first_difference is None and not (found.only_first or found.only_second):
        raise QueryError(f"There is nothing to compare: {_sentences(found)}")
    if as_json:
        print_json(_as_json((first, second), facts, found))
    else:
        _print(facts, found)
    return found.is_same


@contextmanager
def bar(what: str) -> Iterator[Progress]:
    """A bar on the error stream, where a person looks at it: it takes the share that is done."""
    from rich.progress import Progress as Bars

    with Bars(console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task(what, total=1.0)
        yield lambda share: bars.update(task, completed=share)


def _print(facts: ComparedFacts, found: Comparison) -> None:
    from gradviz.texts import text

    rows = [
        (text(f"comparison.kind.{fact.kind}").lower(), fact.name, *fact.values)
        for fact in facts.differing().facts
        if fact.kind != "layer"
    ]
    if rows:
        print_table(("", "differs", *map(shown, found.runs)), rows)
        say("")
    for name, only in zip(found.runs, (found.only_first, found.only_second), strict=True):
        if only:
            more = f" and {len(only) - _NAMES} more" if len(only) > _NAMES else ""
            say(f"only in {shown(name)}: {', '.join(map(shown, only[:_NAMES]))}{more}", style="yellow")
    say(_sentences(found), style="green" if found.is_same else "bold red")
    _print_ratios(found)


def _print_ratios(found: Comparison) -> None:
    """The layers whose updates differ most."""
    known = [place for place in range(len(found.layers)) if found.ratio_update[place] >= 0]
    apart = [place for place in known if abs(found.ratio[place] - 1) > found.rtol]
    if not apart:
        return
    apart.sort(key=lambda place: -abs(math.log2(found.ratio[place])))
    say("")
    print_table(
        ("layer", "update", "largest ratio"),
        [
            (found.layers[place], int(found.ratio_update[place]), f"×{found.ratio[place]:.4g}")
            for place in apart[:_LAYERS]
        ],
        right=("update", "largest ratio"),
    )
    if len(apart) > _LAYERS:
        say(f"and {len(apart) - _LAYERS} more layers; --json has them all", style="dim")


def _sentences(found: Comparison) -> str:
    from gradviz.figures.comparison_wording import comparison_sentences

    return " ".join(comparison_sentences(found, name=shown))


def _as_json(paths: tuple[Path, Path], facts: ComparedFacts, found: Comparison) -> dict[str, object]:
    difference = found.first_difference
    return {
        "runs": list(paths),
        "same": found.is_same,
        "identical": found.is_identical and found.first_difference is None and found.compared > 0,
        "rtol": found.rtol,
        "summary": _sentences(found),
        "first_difference": None if difference is None else asdict(difference),
        "compared_events": found.compared,
        "compared_updates": len(found.update),
        "last_updates": list(found.updates),
        "largest_relative_difference": float(found.largest.max(initial=0.0)),
        "layers": [
            {"layer": layer, "ratio": float(ratio), "update": int(update) if update >= 0 else None}
            for layer, ratio, update in zip(found.layers, found.ratio, found.ratio_update, strict=True)
        ],
        "only_first": list(found.only_first),
        "only_second": list(found.only_second),
        "facts": [
            {"kind": fact.kind, "name": fact.name, "values": list(fact.values)}
            for fact in facts.differing().facts
        ],
    }
