"""Nothing of ours ever leaves a hook: warn once, count, and after three failures in a row give up."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from gradviz.errors import GradvizWarning

FAILURES_TO_DISABLE = 3


def warn(text: str) -> None:
    """Warn the user; where warnings are errors, print instead: training goes on."""
    try:
        warnings.warn(text, GradvizWarning, stacklevel=3)
    except Exception:  # warnings are errors, or there is nowhere to show them
        with suppress(Exception):
            print(f"gradviz: {text}", file=sys.stderr)  # noqa: T201  the only channel left


class Guard:
    """Runs our part of a hook and counts its failures; `note` puts each into the run."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._failures = 0
        self._said = False
        self.disabled = False

    def __call__(self, action: Callable[..., None], *args: object) -> bool:
        """Do it; returns False where it failed. KeyboardInterrupt and SystemExit pass."""
        try:
            action(*args)
        except Exception as error:  # P1: nothing else of ours leaves a hook
            self.failed(error)
            return False
        return True

    def passed(self) -> None:
        """A moment was recorded without a failure."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """A moment was lost to `error`. Kept in the run, said once."""
        text = f"{type(error).__name__}: {error}"
        self._failures += 1
        if not self._said:
            self._said = True
            warn(f"A moment was not recorded ({text}). Training is not affected.")
        self._note(text)
        if self._failures >= FAILURES_TO_DISABLE and not self.disabled:
            self.disabled = True
            warn(f"Recording stopped after {FAILURES_TO_DISABLE} failures in a row ({text}).")
            self._note("recording stopped after repeated failures")
