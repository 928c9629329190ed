"""How the elements of a gradient are spread over binary exponents, update by update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers, integers, rows_of_layer
from gradviz.analysis.tables import framed, table_of
from gradviz.schema import BIN_NAMES, BINS, FIRST_EXPONENT_BIN, LOWEST_EXPONENT, SUBNORMAL_BIN, ZEROS_BIN

if TYPE_CHECKING:
    import pandas as pd

FLOAT16_NORMAL, FLOAT16_SMALLEST, FLOAT16_END = (
    -14,
    -24,
    16,
)  # powers of two: normal from, any from, none from


@dataclass(frozen=True)
class Distribution:
    """Counts [R, BINS] of the finite elements of `layer` (None: of all layers together) by |x|.

    A row adds up `updates[r]` recorded updates, from `first_update[r]` to `last_update[r]`. The columns are
    those of `schema.BIN_NAMES`.
    """

    layer: str | None
    counts: Integers
    first_update: Integers
    last_update: Integers
    updates: Integers

    @property
    def shares(self) -> Floats:
        """[R, BINS] Counts over the finite elements of their row; 0 where it has none."""
        total = self.counts.sum(axis=1, keepdims=True)
        shares: Floats = self.counts / np.maximum(total, 1)
        return shares

    @property
    def zeros(self) -> Floats:
        """[R] Share of elements that are exactly 0."""
        shares: Floats = self.shares[:, ZEROS_BIN]
        return shares

    def below(self, exponent: int) -> Floats:
        """[R] Share of elements with 0 < |x| < 2^`exponent`, which is one from -64 to 32."""
        end = FIRST_EXPONENT_BIN + exponent - LOWEST_EXPONENT
        shares: Floats = self.shares[:, SUBNORMAL_BIN:end].sum(axis=1)
        return shares


@table_of.register(Distribution)
def _(record: Distribution) -> pd.DataFrame:
    """One row of counts for the updates that were added up in it."""
    rows = {"first_update": record.first_update, "last_update": record.last_update, "updates": record.updates}
    return framed({"layer": record.layer} | rows | dict(zip(BIN_NAMES, record.counts.T, strict=True)))


def distribution(
    distributions: pd.DataFrame, *, layer: str | None = None, updates: tuple[int, int] | None = None
) -> Distribution:
    """The distribution of `layer`, or of all layers of the frame together: one row an update.

    Args:
        distributions: of `Run.distributions()`.
        layer: name of a layer.
        updates: inclusive pair (first, last); None for all.
    """
    frame = distributions if layer is None else rows_of_layer(distributions, layer)
    update = integers(frame, "update")
    if updates is not None:
        chosen = (update >= updates[0]) & (update <= updates[1])
        frame, update = frame[chosen], update[chosen]
    present, place = np.unique(update, return_inverse=True)
    counts = np.zeros((len(present), BINS), dtype=np.int64)
    np.add.at(counts, place, frame[list(BIN_NAMES)].to_numpy(dtype=np.int64))
    return Distribution(layer, counts, present, present, np.ones(len(present), dtype=np.int64))


def merge_updates(record: Distribution, *, rows: int = 24) -> Distribution:
    """At most `rows` rows: neighbouring updates are added up, as many in each row (but perhaps the last)."""
    if len(record.updates) <= rows:
        return record
    starts = np.arange(0, len(record.updates), -(-len(record.updates) // rows))
    ends = np.append(starts[1:], len(record.updates)) - 1
    return Distribution(
        layer=record.layer,
        counts=np.add.reduceat(record.counts, starts, axis=0),
        first_update=record.first_update[starts],
        last_update=record.last_update[ends],
        updates=np.add.reduceat(record.updates, starts),
    )
