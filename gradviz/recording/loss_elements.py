"""The entries of an unreduced loss: which of them count, and what they were multiplied by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from gradviz.recording.loss_nodes import NotUnderstoodError, Shape, computed, number_of, times
from gradviz.schema import Scalar


@dataclass
class Elements:
    """The entries of an unreduced loss; `shape` is theirs as far down as the walk has come.

    `factors` are what they were multiplied by; `alive` [entries] marks those that count (all where it is
    None) provided that `sound`, a single truth value, holds; `repeats` elements lie behind each entry (an
    inner mean); `classes` entries belong to one element (soft targets), and the elements then have the shape
    `grain`. `rows`: below a sum over some dimensions, each row is one element.
    """

    shape: Shape
    entries: int
    grain: Shape
    factors: list[Scalar] = field(default_factory=list)
    alive: Tensor | None = None
    sound: Tensor | None = None
    repeats: int = 1
    classes: int = 1
    rows: bool = False
    selected: bool = False
    ordered: bool = True
    summed: bool = False  # the reduction is a sum
    exact: bool = False  # an entry is an element, there is no other way to see it

    def keep(self, chosen: Tensor, *, provided: Tensor | None = None) -> None:
        """Only `chosen` entries count."""
        hidden = self.rows or self.selected or chosen.numel() != math.prod(self.shape)
        if hidden or (self.alive is not None and (self.repeats > 1 or not self.ordered)):
            raise NotUnderstoodError
        self.repeats = 1  # the mask says it of each
        chosen = chosen.reshape(-1)
        self.alive = chosen if self.alive is None else self.alive & chosen
        self.require(provided)
        self.exact = True

    def require(self, provided: Tensor | None) -> None:
        """Void unless `provided` is true."""
        if provided is not None:
            self.sound = provided if self.sound is None else self.sound & provided

    def count(self) -> Scalar:
        """How many elements count."""
        entries = self.entries if self.alive is None else number_of(self.alive.sum())
        return times(entries, self.repeats)

    def proof(self) -> Scalar:
        """1; void, now or when it is read, where what it was based on turns out to be false."""
        if self.sound is None:
            return 1.0
        return computed(_proven, number_of(self.sound))


def _proven(found: float) -> float:
    if not found:
        raise NotUnderstoodError
    return 1.0
