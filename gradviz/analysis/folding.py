"""Rows of many events -> one number a layer and window: the fold that every check reads its evidence from.

Takes the rows piece by piece, as they are stored, as dense blocks [layers, events]; everything is vectorised.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.blocks import Block, Columns, Singles, blocks_of
from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.stretches import Stretch, Stretches
from gradviz.analysis.windows import WindowAxis

COLUMNS = (
    "l2", "zeros", "nonfinite", "micro_l2", "micro_nonfinite", "cosine", "weight_l2", "step_l2", "unchanged",
)  # fmt: skip
AT_UPDATES = {"zeros": "zeros", "weight": "weight_l2", "step": "step_l2", "unchanged": "unchanged"}


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


_NOTHING: dict[str, tuple[Any, float]] = {
    "accumulated": (np.float32, 0), "own": (np.float64, 0), "norms": (np.float32, 0), "built": (np.float64, 0),
    "largest": (np.float32, 0), "least": (np.float32, np.inf), "fired": (np.int16, 0), "broken": (np.bool_, 0),
}  # fmt: skip
"""Type and value of a layer of whose window no row was read; of all others NaN. Squares add up in float64."""


class Fold:
    """Adds up pieces of rows. Of each layer, rows come in ascending order of events."""

    def __init__(self, axis: WindowAxis, layer_ids: Integers) -> None:
        self.axis = axis
        self._stretches = Stretches(axis)
        self.windows, self.starts = self._stretches.windows, self._stretches.starts
        self.micro, self.place = self._stretches.micro, self._stretches.place
        self.micro_squares = np.zeros(len(self.micro))  # [M] sum over layers of ||g_k||^2
        self._ids = np.sort(layer_ids)
        self._order = np.searchsorted(self._ids, layer_ids)  # sums are in the order in which rows are stored
        shape = len(layer_ids), len(axis.update)
        self._sums: dict[str, NDArray[Any]] = {}
        for column in fields(LayerWindows):
            kind, value = _NOTHING.get(column.name, (np.float32, np.nan))
            self._sums[column.name] = np.full(shape, value, dtype=kind)
        edits = len(layer_ids), len(self._stretches.edits)
        self._before, self._after = np.zeros(edits, np.float32), np.zeros(edits, np.float32)

    def add(self, piece: Columns) -> None:
        """Fold a piece of rows (`layer_id`, `event` and `COLUMNS`); those of other events or layers are left out."""
        for block in blocks_of(piece, self.axis.event, self._ids):
            stretch = self._stretches.of(block.events)
            sums = {name: whole[block.rows, stretch.windows] for name, whole in self._sums.items()}
            if len(stretch.micro.event):
                self._add_micro_steps(block, stretch, sums)
                _add_accumulated(block, stretch, sums)
            _put_residuals_and_updates(block, stretch, sums)
            _put_edits(block, stretch, self._before, self._after)
            if not isinstance(block.rows, slice):  # then they are copies
                for name, some in sums.items():
                    self._sums[name][block.rows, stretch.windows] = some

    def _add_micro_steps(self, block: Block, stretch: Stretch, sums: dict[str, NDArray[Any]]) -> None:
        micro, starts, at = stretch.micro.event, stretch.starts, stretch.at
        g, has, bad = block.norms("micro_l2", "micro_nonfinite", micro, broken=np.nan)
        _combine(np.add, sums["norms"], at, g, starts)
        _combine(np.maximum, sums["largest"], at, g, starts)
        _combine(
            np.minimum, sums["least"], at, g if has is None else np.where(has, g, np.float32(np.inf)), starts
        )
        _combine(np.fmin, sums["cosine"], at, block.at("cosine", micro), starts)
        if has is None:
            sums["fired"][:, at] += np.diff(starts, append=len(micro)).astype(np.int16)
        else:
            _combine(np.add, sums["fired"], at, has.astype(np.int16), starts)
        if bad is not None and bad.any():
            _combine(np.logical_or, sums["broken"], at, bad, starts)
        squares = _squares(g)
        _combine(np.add, sums["own"], at, squares, starts)
        self.micro_squares[stretch.micro.entries] += squares.sum(axis=0)

    def layers(self) -> LayerWindows:
        """Everything that was added, by layer and by window that has a micro-step."""
        sums = {name: self._whole(values) for name, values in self._sums.items()}
        for name in ("own", "built"):
            sums[name] = np.sqrt(sums[name]).astype(np.float32)
        return LayerWindows(**sums)

    def _whole(self, values: NDArray[Any]) -> NDArray[Any]:
        if len(self.windows) < values.shape[1]:
            values = values[:, self.windows]
        return values if (np.diff(self._order) == 1).all() else values[self._order]

    def edits(self) -> Edits:
        """The edits, over the layers that their window's update consumed."""
        found = self._stretches.edits
        window = self.place[found]
        consumed = ~np.isnan(self._sums["consumed"])
        kept = consumed[:, self.axis.window[found]] | ~consumed[:, self.windows].any(axis=1, keepdims=True)
        before = np.where(kept, self._before, np.float32(0))
        after = np.where(kept, self._after, np.float32(0))
        return Edits(
            window=window,
            micro_step=self.axis.micro_step[found],
            before=_squares(before).sum(axis=0),
            after=_squares(after).sum(axis=0),
            wiped=np.sum((before != 0) & (after == 0), axis=0),
            held=np.sum(before != 0, axis=0),
        )


def _add_accumulated(block: Block, stretch: Stretch, sums: dict[str, NDArray[Any]]) -> None:
    micro = stretch.micro.event
    whole, _, bad = block.norms("l2", "nonfinite", micro, broken=np.nan)
    _put(
        sums["accumulated"],
        stretch.lasts.entries,
        whole[:, stretch.lasts.event],
        block.there_at(micro[stretch.lasts.event]),
    )
    if bad is not None and bad.any():
        _combine(np.logical_or, sums["broken"], stretch.at, bad, stretch.starts)
    squares = _squares(whole)
    squares[:, stretch.firsts] = 0.0
    _combine(np.add, sums["built"], stretch.at, squares, stretch.starts)


def _put_residuals_and_updates(block: Block, stretch: Stretch, sums: dict[str, NDArray[Any]]) -> None:
    """Of several updates in a window the one that owns the layer, which alone has a row of it."""
    resets = stretch.resets.event
    left, _, _ = block.norms("l2", "nonfinite", resets, broken=np.inf)
    _put(sums["residual"], stretch.resets.entries, left, block.there_at(resets))
    for updates in stretch.updates:
        there = block.there_at(updates.event)
        taken, _, _ = block.norms("l2", "nonfinite", updates.event, broken=np.inf)
        _put(sums["consumed"], updates.entries, taken, there)
        for name, column in AT_UPDATES.items():
            _put(sums[name], updates.entries, block.at(column, updates.event), there)


def _put_edits(block: Block, stretch: Stretch, before: Singles, after: Singles) -> None:
    for into, events in ((before, stretch.before), (after, stretch.edits)):
        if len(events.event):
            held, _, _ = block.norms("l2", "nonfinite", events.event, broken=None)
            some = into[block.rows]
            _put(some, events.entries, held, block.there_at(events.event))
            into[block.rows] = some


def _put(into: NDArray[Any], at: slice | Integers, values: NDArray[Any], there: Flags | None) -> None:
    into[:, at] = values if there is None else np.where(there, values, into[:, at])


def _combine(
    operation: np.ufunc, into: NDArray[Any], at: slice | Integers, values: NDArray[Any], starts: Integers
) -> None:
    into[:, at] = operation(into[:, at], operation.reduceat(values, starts, axis=1))


def _squares(values: Singles) -> Floats:
    squares = values.astype(np.float64)
    return np.multiply(squares, squares, out=squares)
