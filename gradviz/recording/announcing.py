"""Findings while training: the rules of the diagnosis run over the run folder, on the writer's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.store.writer import RunWriter

if TYPE_CHECKING:
    from gradviz.diagnostics import Finding

OnFinding = Callable[["Finding"], object]
SECONDS = 10.0  # between two looks, at least
LARGEST_SHARE = 0.05  # of the time goes to looking, at most


def findings_of(writer: RunWriter) -> list[Finding]:
    """The findings of a run that may still be recorded, once everything put so far is on disk."""
    from gradviz.diagnostics import diagnose  # with pandas: only where findings are wanted
    from gradviz.store import open_run

    writer.flush()
    return diagnose(open_run(writer.path))


class Announcer:
    """Calls `on_finding` when a finding comes up: once, until it has gone and comes back, or gets worse."""

    def __init__(self, on_finding: OnFinding, *, seconds: float = SECONDS) -> None:
        self._on_finding, self._seconds = on_finding, seconds
        self._known: set[tuple[str, str]] = set()
        self._fingerprint: Hashable = None
        self._next_look = time.monotonic() + seconds

    def look(self, run_path: Path, *, final: bool = False) -> None:
        """Diagnose what is on disk by now, if it is time and there is something new; `final`: in any case."""
        began = time.monotonic()
        if began < self._next_look and not final:
            return
        found = self._diagnosed(run_path)
        self._next_look = time.monotonic() + max(self._seconds, (time.monotonic() - began) / LARGEST_SHARE)
        if found is None:
            return
        before, self._known = self._known, {(one.code, one.level) for one in found}
        failures: list[Exception] = []
        for one in found:
            if (one.code, one.level) not in before:
                try:
                    self._on_finding(one)
                except Exception as error:  # the other findings are told all the same
                    failures.append(error)
        if failures:
            raise failures[0]

    def _diagnosed(self, run_path: Path) -> list[Finding] | None:
        from gradviz.diagnostics import diagnose  # with pandas: only where findings are wanted
        from gradviz.store import open_run

        run = open_run(run_path)
        fingerprint = run.fingerprint()
        if fingerprint == self._fingerprint or run.last_event is None:
            return None
        self._fingerprint = fingerprint
        return diagnose(run)
