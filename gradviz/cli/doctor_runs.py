"""The part of `gradviz doctor` that looks at the runs: what is wrong with each, and what it mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradviz.cli.terminal import err, say, shown
from gradviz.errors import GradvizError
from gradviz.store.mending import Ailment, ailments

HARMFUL = ("unreadable", "damaged")


@dataclass(frozen=True)
class Treated:
    """An ailment and what became of it: `mended`, `could be mended`, `left alone`, or why mending failed."""

    ailment: Ailment
    outcome: str

    def as_json(self) -> dict[str, Any]:
        """The same without what mends it."""
        one = self.ailment
        return {
            "run": str(one.run),
            "kind": one.kind,
            "found": one.found,
            "advice": one.advice,
            "outcome": self.outcome,
        }


def treat(folder: Path, *, fix: bool, read_all: bool) -> list[Treated]:
    """Look at every run below the folder, and with `fix` mend what is safe to mend."""
    with err.status("Looking at the runs ..."):
        return list(_treat(folder, fix, read_all))


def _treat(folder: Path, fix: bool, read_all: bool) -> Iterator[Treated]:
    for ailment in ailments(folder, read_all=read_all):
        if ailment.mend is None:
            yield Treated(ailment, "left alone")
        elif not fix:
            yield Treated(ailment, "could be mended")
        else:
            yield Treated(ailment, _mended(ailment))


def _mended(ailment: Ailment) -> str:
    assert ailment.mend is not None  # noqa: S101 - asked before
    try:
        ailment.mend()
    except (GradvizError, OSError) as error:
        return str(error)
    return "mended"


def print_treated(folder: Path, treated: list[Treated]) -> None:
    """A line for each, and what to do."""
    if not treated:
        say(f"Nothing is wrong with the runs in {shown(folder)}.")
        return
    for run in dict.fromkeys(one.ailment.run for one in treated):
        say(shown(run), style="bold")
        for one in treated:
            if one.ailment.run == run:
                say(f"  {one.ailment.kind}: {shown(one.ailment.found)}  [{shown(one.outcome)}]")
                say(f"    {shown(one.ailment.advice)}")
    outcomes = Counter(one.outcome for one in treated)
    if count := outcomes["could be mended"]:
        say(f"{count} of these can be mended without a risk: gradviz doctor --fix")


def is_harmful(treated: list[Treated]) -> bool:
    """Whether something was lost, or could not be mended."""
    known = ("mended", "could be mended", "left alone")
    return any(one.ailment.kind in HARMFUL or one.outcome not in known for one in treated)
