"""Rows of many events -> one number a layer and window: the fold that every check reads its evidence from.

Works on a piece of the layers at a time, on dense arrays [layers, events]; everything is vectorised.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers, integers
from gradviz.analysis.windows import WindowAxis
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

Singles = NDArray[np.float32]

COLUMNS = (
    "event", "layer", "l2", "zeros", "nonfinite", "micro_l2", "micro_nonfinite", "cosine",
    "weight_l2", "step_l2", "unchanged",
)  # fmt: skip


@dataclass(frozen=True)
class LayerWindows:
    """One number a layer and window, each [L, W]. NaN: not finite (see `broken`) or not recorded.

    residual: l2 of G_0, 0 where clean. accumulated: l2 of G_n, 0 where there was no gradient. consumed: l2 as
    the optimizer saw it (infinite where not finite), NaN where none stepped on this layer.
    own: sqrt(sum ||g_k||^2). norms: sum ||g_k||. built: sqrt(sum over k >= 2 of ||G_k||^2).
    largest, least: of ||g_k||. cosine: the least of g_k with G_{k-1}.
    fired: micro-steps in which its hook fired. broken: whether some gradient was not finite.
    zeros, weight, step, unchanged: at the update.
    """

    residual: Singles
    accumulated: Singles
    consumed: Singles
    own: Singles
    norms: Singles
    built: Singles
    largest: Singles
    least: Singles
    cosine: Singles
    fired: NDArray[np.int16]
    broken: Flags
    zeros: Singles
    weight: Singles
    step: Singles
    unchanged: Singles


@dataclass(frozen=True)
class Edits:
    """Changes of `p.grad` between two backwards, one entry each (N edits); sums of squares over layers.

    `wiped` counts the layers that were cleared though they held something, `held` those that held something;
    only layers that the window's update consumed count.
    """

    window: Integers
    micro_step: Integers
    before: Floats
    after: Floats
    wiped: Integers
    held: Integers


@dataclass(frozen=True)
class Folded:
    """What one piece of the layers yields; `micro_squares` [M] and the edits add up over pieces."""

    layers: LayerWindows
    micro_squares: Floats
    edits: Edits


class Fold:
    """Where each event of an axis goes. `windows` are the places in the axis of those that have a micro-step."""

    def __init__(self, axis: WindowAxis) -> None:
        self.axis = axis
        self.micro = np.flatnonzero(axis.phase == Phase.MICRO_STEP)
        self.windows, self.starts = np.unique(axis.window[self.micro], return_index=True)
        place = np.full(len(axis.update), -1)
        place[self.windows] = np.arange(len(self.windows))
        self.place = place[axis.window]  # of each event: its window's place, -1 where that has no micro-step
        self.lasts = np.append(self.starts[1:], len(self.micro))[: len(self.starts)] - 1
        self.edit_events = np.flatnonzero((axis.phase == Phase.EDIT) & (self.place >= 0))

    def fold(self, frame: pd.DataFrame, names: tuple[str, ...]) -> Folded:
        """Fold the rows of the layers `names` (`frame` holds `COLUMNS`); rows of other events are left out."""
        grid = _Grid(frame, names, self.axis.event)
        count, bad = grid.at("micro_nonfinite", self.micro), grid.at("nonfinite", self.micro)
        fired = count != NO_GRADIENT
        g = np.where(fired, grid.at("micro_l2", self.micro), np.float32(0))
        whole = np.where(bad != NO_GRADIENT, grid.at("l2", self.micro), np.float32(0))
        g[count > 0] = np.nan
        whole[bad > 0] = np.nan
        squares = np.square(g, dtype=np.float64)
        consumed, zeros, weight, step, unchanged = self._at_updates(
            grid, ("l2", "zeros", "weight_l2", "step_l2", "unchanged")
        )
        layers = LayerWindows(
            residual=self._residuals(grid),
            accumulated=_single(whole[:, self.lasts]),
            consumed=consumed,
            own=_single(np.sqrt(self._reduce(np.add, squares))),
            norms=_single(self._reduce(np.add, g)),
            built=self._built(whole),
            largest=_single(self._reduce(np.maximum, g)),
            least=_single(self._reduce(np.minimum, np.where(fired, g, np.float32(np.inf)))),
            cosine=_single(self._reduce(np.fmin, grid.at("cosine", self.micro))),
            fired=self._reduce(np.add, fired.astype(np.int16)).astype(np.int16),
            broken=self._reduce(np.logical_or, (count > 0) | (bad > 0)).astype(np.bool_),
            zeros=zeros,
            weight=weight,
            step=step,
            unchanged=unchanged,
        )
        return Folded(layers, np.sum(squares, axis=0), self._edits(grid, consumed))

    def _reduce(self, operation: np.ufunc, values: NDArray[np.generic]) -> NDArray[np.generic]:
        if not len(self.starts):
            return values[:, :0]
        return operation.reduceat(values, self.starts, axis=1)

    def _built(self, whole: Singles) -> Singles:
        squares = np.square(whole, dtype=np.float64)
        squares[:, self.starts] = 0.0
        return _single(np.sqrt(self._reduce(np.add, squares)))

    def _residuals(self, grid: _Grid) -> Singles:
        found = np.full((grid.layers, len(self.windows)), np.nan, dtype=np.float32)
        resets = np.flatnonzero((self.axis.phase == Phase.RESET) & (self.place >= 0))
        count, left = grid.at("nonfinite", resets), grid.at("l2", resets)
        left = np.where(count > 0, np.inf, np.where(count == NO_GRADIENT, 0.0, left))
        left[~grid.there(resets)] = np.nan
        found[:, self.place[resets]] = left
        return found

    def _at_updates(self, grid: _Grid, columns: tuple[str, ...]) -> list[Singles]:
        """Each column at a window's update; where several optimizers step, at the one that owns the layer."""
        found = [np.full((grid.layers, len(self.windows)), np.nan, dtype=np.float32) for _ in columns]
        updates = np.flatnonzero((self.axis.phase == Phase.UPDATE) & (self.place >= 0))
        while len(updates):
            place, first = np.unique(self.place[updates], return_index=True)
            now, updates = updates[first], np.delete(updates, first)
            there, count = grid.there(now), grid.at("nonfinite", now)
            for column, out in zip(columns, found, strict=True):
                values = grid.at(column, now)
                if column == "l2":
                    values = np.where(count == NO_GRADIENT, 0.0, np.where(count > 0, np.inf, values))
                out[:, place] = np.where(there, values, out[:, place])
        return found

    def _edits(self, grid: _Grid, consumed: Singles) -> Edits:
        events = self.edit_events
        window = self.place[events]
        kept = ~np.isnan(consumed[:, window]) | np.isnan(consumed).all(axis=1, keepdims=True)
        before = np.where(
            kept & (grid.at("nonfinite", events - 1) != NO_GRADIENT), grid.at("l2", events - 1), 0.0
        )
        after = np.where(kept & (grid.at("nonfinite", events) != NO_GRADIENT), grid.at("l2", events), 0.0)
        return Edits(
            window=window,
            micro_step=self.axis.micro_step[events],
            before=np.sum(np.square(before, dtype=np.float64), axis=0),
            after=np.sum(np.square(after, dtype=np.float64), axis=0),
            wiped=np.sum((before != 0) & (after == 0), axis=0),
            held=np.sum(before != 0, axis=0),
        )


class _Grid:
    """Columns of a frame as dense arrays [layers, events of the axis], put there when they are asked for."""

    def __init__(self, frame: pd.DataFrame, names: tuple[str, ...], event: Integers) -> None:
        self.layers, self._size = len(names), len(event)
        column = frame["layer"].cat
        code_of = {name: code for code, name in enumerate(names)}
        codes = np.array([code_of.get(name, -1) for name in column.categories], dtype=np.int64)
        layer = codes[column.codes.to_numpy()] if len(frame) else np.zeros(0, np.int64)
        place = _places(integers(frame, "event"), event)
        known = (place >= 0) & (layer >= 0)
        cell = layer * self._size + place
        self._rows = None if known.all() else np.flatnonzero(known)
        self._cell = cell if self._rows is None else cell[self._rows]
        self._full = len(cell) == self.layers * self._size and bool((cell == np.arange(len(cell))).all())
        self._frame = frame
        self._dense: dict[str, Singles] = {}

    def _column(self, name: str) -> Singles:
        if name not in self._dense:
            null = NO_GRADIENT if name in ("nonfinite", "micro_nonfinite") else np.nan
            values = self._frame[name].to_numpy(dtype=np.float32, na_value=null)
            if not self._full:
                whole = np.full(self.layers * self._size, null, dtype=np.float32)
                whole[self._cell] = values if self._rows is None else values[self._rows]
                values = whole
            self._dense[name] = values.reshape(self.layers, self._size)
        return self._dense[name]

    def at(self, name: str, events: Integers) -> Singles:
        """The column at some events [L, len(events)]; NaN (counts: -1) where there is no row or no value."""
        return np.take(self._column(name), events, axis=1)

    def there(self, events: Integers) -> Flags:
        """Whether there is a row."""
        if self._full:
            return np.ones((self.layers, len(events)), dtype=np.bool_)
        rows = np.zeros(self.layers * self._size, dtype=np.bool_)
        rows[self._cell] = True
        return rows.reshape(self.layers, self._size)[:, events]


def _places(number: Integers, event: Integers) -> Integers:
    """Where each event number stands in `event`, which ascends; -1 where it does not."""
    if len(event) and event[-1] - event[0] + 1 == len(event):
        place = number - event[0]
        return np.where((place >= 0) & (place < len(event)), place, -1)
    place = np.minimum(np.searchsorted(event, number), max(len(event) - 1, 0))
    found = event[place] == number if len(event) else np.zeros(len(number), dtype=np.bool_)
    return np.where(found, place, -1)


def joined(pieces: list[LayerWindows], windows: int) -> LayerWindows:
    """The pieces, one under the other."""
    empty = np.zeros((0, windows), dtype=np.float32)
    columns: dict[str, Any] = {
        column.name: np.concatenate([getattr(piece, column.name) for piece in pieces]) if pieces else empty
        for column in fields(LayerWindows)
    }
    return LayerWindows(**columns)


def _single(values: NDArray[np.generic]) -> Singles:
    return np.asarray(values, dtype=np.float32)
