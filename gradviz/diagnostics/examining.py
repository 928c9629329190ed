"""Run every check of the catalogue over one run."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from gradviz.analysis.story import RunStory
from gradviz.analysis.story_reading import run_story
from gradviz.diagnostics.catalogue import CHECKS
from gradviz.diagnostics.findings import Diagnosis, Finding, MissingEvidence

if TYPE_CHECKING:
    from gradviz.store import Run

READING = 0.7  # of the work, about


def _unheard(fraction: float) -> None:
    """Nobody asked."""


def diagnose(run: Run) -> list[Finding]:
    """What is wrong with a recorded training, or worth knowing: findings, the worst first.

    Args:
        run: from `gradviz.open_run`; it may be live.

    A check that lacks its evidence finds nothing: `gradviz.diagnostics.examine` says which those are.
    """
    return list(examine(run).findings)


def examine(run: Run, progress: Callable[[float], object] = _unheard) -> Diagnosis:
    """As `diagnose`, with what was checked and what could not be, so that "nothing found" means something.

    `progress` is told, from time to time, about which fraction of the work is done.
    """
    story = run_story(run, lambda read: progress(READING * read))
    return examine_story(story, lambda checked: progress(READING + (1 - READING) * checked))


def examine_story(story: RunStory, progress: Callable[[float], object] = _unheard) -> Diagnosis:
    """Run every check over a story that was read already."""
    findings: list[Finding] = []
    unknown: dict[str, tuple[str, ...]] = {}
    for number, (code, check) in enumerate(CHECKS.items()):
        progress(number / len(CHECKS))
        try:
            findings += check(story)
        except MissingEvidence as lack:
            unknown[code] = lack.what
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda finding: -finding.level.rank)),
        checked=tuple(code for code in CHECKS if code not in unknown),
        unknown=MappingProxyType(unknown),
        windows=len(story.update),
        windows_total=story.windows_total,
    )
