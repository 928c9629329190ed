"""One pass over two runs: the first moment at which they differ, and the largest difference of each update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from gradviz.analysis.comparison_cells import Cells
from gradviz.analysis.comparison_pairs import EventPairs, Side
from gradviz.analysis.frames import Flags, Floats, Integers, values_at
from gradviz.schema import PHASES, Phase

if TYPE_CHECKING:
    import pandas as pd

Clue = Literal["length", "start", "reset", "edit", "consumed", "step", "micro_batch"]


@dataclass(frozen=True)
class Difference:
    """The first moment at which two runs differ: one has it alone (`only`), or the norms of a layer differ.

    `layer` differs most of the `layers` that do. Values are L2 norms; a count of non-finite elements of -1 says that
    there was no gradient. `losses` are those of the micro-step, NaN where there is none.
    """

    update: int
    micro_step: int
    phase: str
    clue: Clue
    only: Side | None = None
    layer: str = ""
    layers: int = 0
    first: float = np.nan
    second: float = np.nan
    first_nonfinite: int = 0
    second_nonfinite: int = 0
    relative: float = np.inf
    losses: tuple[float, float] = (np.nan, np.nan)


class Scan:
    """What is known of a comparison after some of its pairs."""

    def __init__(
        self,
        pairs: EventPairs,
        layers: tuple[str, ...],
        rtol: float,
        events: tuple[pd.DataFrame, pd.DataFrame],
    ) -> None:
        self.pairs, self.layers, self.rtol, self.events = pairs, layers, rtol, events
        self.seen, self.is_identical = 0, True
        self.place = len(pairs.update)  # of the first pair that differs
        self.difference: Difference | None = None
        self.largest: list[Floats] = [np.zeros(0)]
        self.ratio = np.full(len(layers), np.nan)
        self.ratio_update = np.full(len(layers), -1)

    def add(self, start: int, stop: int, first: Cells, second: Cells) -> None:
        """The pairs `start`..`stop` - 1 of both runs."""
        self.seen = stop
        lenient = self.pairs.phase[start:stop] == Phase.RESET
        apart = first.apart(second, lenient)
        self.is_identical &= first.equals(second, lenient)
        largest = apart.max(axis=0, initial=0.0)
        self.largest.append(largest)
        beyond = np.flatnonzero(largest > self.rtol)
        if self.difference is None and len(beyond):
            place = int(beyond[0])
            self.difference = self._described(start + place, place, apart[:, place], first, second)
        self._keep_ratios(start, stop, first, second)

    def first_difference(self) -> Difference | None:
        """The earliest: of the rows, or of an event that one run has alone."""
        lone = self.pairs.lone
        if lone is None or lone.place > min(self.place, self.seen):
            return self.difference
        return Difference(lone.update, lone.micro_step, lone.phase, "length", only=lone.side)

    def by_update(self) -> tuple[Integers, Floats]:
        """The updates, and the largest relative difference of any moment of each.

        The reset that ends a run is no window of its own, unless it is the one that differs.
        """
        largest, update = np.concatenate(self.largest), self.pairs.update[: self.seen]
        told = (self.pairs.phase[: self.seen] != Phase.RESET) | (largest > 0)
        largest, update = largest[np.isin(update, update[told])], update[np.isin(update, update[told])]
        starts = np.flatnonzero(np.diff(update, prepend=-1))
        return update[starts], np.maximum.reduceat(largest, starts) if len(starts) else np.zeros(0)

    def _described(self, pair: int, place: int, apart: Floats, first: Cells, second: Cells) -> Difference:
        self.place = pair
        row = int(np.argmax(apart))
        phase = Phase(int(self.pairs.phase[pair]))
        numbers = (self.pairs.first[pair : pair + 1], self.pairs.second[pair : pair + 1])
        losses = [
            values_at(known, "loss", number)[0] for known, number in zip(self.events, numbers, strict=True)
        ]
        return Difference(
            update=int(self.pairs.update[pair]),
            micro_step=int(self.pairs.micro_step[pair]),
            phase=PHASES[phase],
            clue=self._clue(pair, phase),
            layer=self.layers[row],
            layers=int((apart > self.rtol).sum()),
            first=float(first.l2[row, place]),
            second=float(second.l2[row, place]),
            first_nonfinite=int(first.nonfinite[row, place]),
            second_nonfinite=int(second.nonfinite[row, place]),
            relative=float(apart[row]),
            losses=(float(losses[0]), float(losses[1])),
        )

    def _clue(self, pair: int, phase: Phase) -> Clue:
        """What was the same just before says what is not."""
        if phase is not Phase.MICRO_STEP:
            named: dict[Phase, Clue] = {Phase.RESET: "reset", Phase.EDIT: "edit", Phase.UPDATE: "consumed"}
            return named[phase]
        if self.pairs.micro_step[pair] > 1:
            return "micro_batch"
        return "start" if self.pairs.update[pair] == self.pairs.update[0] else "step"

    def _keep_ratios(self, start: int, stop: int, first: Cells, second: Cells) -> None:
        updates = self.pairs.phase[start:stop] == Phase.UPDATE
        if not updates.any() or not self.layers:
            return
        known: Flags = (first.nonfinite == 0) & (second.nonfinite == 0) & (first.l2 > 0) & (second.l2 > 0)
        ratio = np.divide(second.l2, first.l2, out=np.ones(first.l2.shape), where=known)[:, updates]
        known = known[:, updates] & np.isfinite(ratio) & (ratio > 0)
        distance = np.abs(np.log2(np.where(known, ratio, 1.0))) - ~known  # below zero: unknown
        rows, best = np.arange(len(self.layers)), distance.argmax(axis=1)
        before = np.abs(np.log2(np.where(np.isnan(self.ratio), 1.0, self.ratio))) - np.isnan(self.ratio)
        better = distance[rows, best] > before
        self.ratio[better] = ratio[rows, best][better]
        self.ratio_update[better] = self.pairs.update[start:stop][updates][best][better]
