"""Counts windows as they are observed: which update, which micro-step. Knows no tensors.

A window ends with an optimizer's step and the next one begins with the next backward. Nothing is
ever counted modulo the declared number of accumulation steps: a short window shifts no later label.
"""

from __future__ import annotations

from gradviz.recording.moments import Moment


class Windows:
    """Where training stands: `update` (0-based) and `micro_step` (backward passes so far in its window)."""

    def __init__(self, every: int = 1, first: int = 0) -> None:
        self.update = first
        self.micro_step = 0
        self._every = every
        self._stepped: set[int] = set()
        # kept and not worked out, for every hook asks
        self.recorded = self.update % every == 0
        """Whether this window is recorded in full; the others cost nothing."""
        self.fresh = True
        """Whether the next backward is the first of its window."""

    def moment(self) -> Moment:
        """Where training stands now."""
        return Moment(self.update, self.micro_step)

    @property
    def between(self) -> bool:
        """Whether the last window was consumed and no backward has come since."""
        return bool(self._stepped)

    def begin(self) -> None:
        """A backward pass begins: after a step it opens the next window."""
        if self._stepped:
            self._next()

    def count(self) -> None:
        """A backward pass has reached the watched parameters."""
        self.micro_step += 1
        self.fresh = False

    def consume(self, optimizer: int) -> None:
        """`optimizer` (its id) steps. Two optimizers back to back share one update, one that steps twice does not."""
        if optimizer in self._stepped:
            self._next()
        self._stepped.add(optimizer)

    def _next(self) -> None:
        self.update += 1
        self.micro_step = 0
        self.recorded, self.fresh = self.update % self._every == 0, True
        self._stepped.clear()
