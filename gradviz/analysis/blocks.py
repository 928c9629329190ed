"""Pieces of rows -> dense blocks [layers, events]: as views where a piece has every event of every layer in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.frames import NO_GRADIENT, Flags, Integers

CELLS = 2**16  # of a block: what a processor keeps at hand
Singles = NDArray[np.float32]
Columns = Mapping[str, NDArray[Any]]


@dataclass
class Block:
    """Columns [layers, events] of some layers, and of a stretch of the events of an axis.

    rows: the places of the layers. there: which cells have a row; None: all.
    """

    rows: slice | Integers
    events: slice
    columns: Columns
    there: Flags | None
    _plain: dict[str, Flags] = field(default_factory=dict)

    def at(self, name: str, events: Integers) -> Singles:
        """A column at some events [layers, len(events)], counted from the first of the block."""
        return np.take(self.columns[name], events, axis=1)

    def there_at(self, events: Integers) -> Flags | None:
        """Which of those cells have a row; None: all."""
        return None if self.there is None else self.there[:, events]

    def norms(self, name: str, count: str, events: Integers, *, broken: float | None
              ) -> tuple[Singles, Flags | None, Flags | None]:  # fmt: skip
        """A column of norms at some events: 0 without a gradient, `broken` (None: as it is) where not finite.

        Args:
            count: its column of non-finite values.

        Returns: the norms; where there is a gradient (None: everywhere); where it is not finite (None: nowhere).
        """
        values = self.at(name, events)
        if self._all_finite(count)[events].all():
            return values, None, None
        counted = np.take(self.columns[count], events, axis=1)
        has, bad = counted != NO_GRADIENT, counted > 0
        values = np.where(has, values, np.float32(0))
        if broken is not None:
            values[bad] = broken
        return values, has, bad

    def _all_finite(self, count: str) -> Flags:
        """Events at which every layer has a gradient that is finite."""
        if count not in self._plain:
            self._plain[count] = np.asarray((self.columns[count] == 0).all(axis=0))
        return self._plain[count]


def blocks_of(piece: Columns, event: Integers, layer_ids: Integers) -> Iterator[Block]:
    """A piece of rows (see `Run.pieces`) as blocks; rows of other events or layers are left out.

    Args:
        event: numbers of the events of the axis, ascending.
        layer_ids: the layers, ascending; the places of a block count them.
    """
    columns = {name: values for name, values in piece.items() if name not in ("layer_id", "event")}
    whole = _whole(piece["layer_id"], piece["event"], event, layer_ids)
    if whole is not None:
        places, events = whole
        there = None
        columns = {name: values.reshape(len(places), -1) for name, values in columns.items()}
    else:
        places, events, columns, there = _scattered(piece, columns, event, layer_ids)
    size = max(1, CELLS // max(events.stop - events.start, 1))
    for start in range(0, len(places), size):
        some = slice(start, start + size)
        cut = {name: values[some] for name, values in columns.items()}
        yield Block(span(places[some]), events, cut, None if there is None else there[some])


def span(places: Integers) -> slice | Integers:
    """Ascending places without a gap as a slice, which is a view where it is used."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _whole(
    layer_id: NDArray[Any], number: Integers, event: Integers, layer_ids: Integers
) -> tuple[Integers, slice] | None:
    """Places of the layers and stretch of the axis of rows that are all of them, in order; None where they are not."""
    starts = np.append(0, np.flatnonzero(layer_id[1:] != layer_id[:-1]) + 1)
    width, rest = divmod(len(layer_id), max(len(starts), 1))
    if rest or not width or (starts != np.arange(len(starts)) * width).any():
        return None
    ids, first = layer_id[starts], int(np.searchsorted(event, number[0]))
    places = places_of(ids, layer_ids)
    if (places < 0).any() or (np.diff(ids) <= 0).any():
        return None
    if not np.array_equal(number[:width], event[first : first + width]):
        return None
    same = (number.reshape(-1, width) == number[:width]).all()
    return (places, slice(first, first + width)) if same else None


def _scattered(
    piece: Columns, columns: Columns, event: Integers, layer_ids: Integers
) -> tuple[Integers, slice, dict[str, NDArray[Any]], Flags]:
    """Rows put into the smallest block that holds them, nulls where there is none."""
    layer, place = places_of(piece["layer_id"], layer_ids), places_of(piece["event"], event)
    known = np.flatnonzero((layer >= 0) & (place >= 0))
    places, row = np.unique(layer[known], return_inverse=True)
    first, stop = (int(place[known].min()), int(place[known].max()) + 1) if len(known) else (0, 0)
    cell = row * (stop - first) + place[known] - first
    shape = len(places), stop - first
    dense = {}
    for name, values in columns.items():
        null = np.nan if values.dtype.kind == "f" else NO_GRADIENT
        dense[name] = np.full(shape, null, dtype=values.dtype)
        dense[name].reshape(-1)[cell] = values[known]
    there = np.zeros(shape, dtype=np.bool_)
    there.reshape(-1)[cell] = True
    return places, slice(first, stop), dense, there


def places_of(values: NDArray[Any], among: Integers) -> Integers:
    """Where each value stands in `among`, which ascends; -1 where it does not."""
    if not len(among):
        return np.full(len(values), -1)
    if among[-1] - among[0] + 1 == len(among):
        place = values.astype(np.int64) - among[0]
        return np.where((place >= 0) & (place < len(among)), place, -1)
    place = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return np.where(among[place] == values, place, -1)
