"""The story of a run: its windows, its micro-steps and its layers as arrays, read once, for every check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradviz.analysis.blocks import Singles
from gradviz.analysis.folding import Edits, LayerWindows
from gradviz.analysis.frames import Flags, Floats, Integers

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class LayerTable:
    """The L layers in forward order, as arrays."""

    names: tuple[str, ...]
    layer_id: Integers
    numel: Integers
    dtype: tuple[str, ...]
    trainable: Flags
    embedding: Flags
    matrix: Flags  # two dimensions or more, and no embedding: what the catalogue calls a weight

    @cached_property
    def half(self) -> Flags:
        """Whether parameter and gradient are in 16 bits."""
        return np.array([dtype in ("bfloat16", "float16") for dtype in self.dtype], dtype=np.bool_)


@dataclass(frozen=True)
class MicroSteps:
    """The M micro-steps in order: the place of their window, their number in it, their scalars (NaN: unknown)."""

    window: Integers
    micro_step: Integers
    loss: Floats
    loss_is_nan: Floats  # 1 where it was recorded so, and is not just unknown
    loss_weight: Floats
    loss_elements: Floats
    lr: Floats
    amp_scale: Floats
    samples: Floats
    squares: Floats  # sum over layers of ||g_k||^2; NaN where one is not finite


@dataclass(frozen=True, eq=False)
class RunStory:
    """W windows that have a micro-step, their M micro-steps, and L layers.

    `update` [W] is the number of the update that a window leads to; `length` its micro-steps, `seen` those that
    were recorded; `consumed`: an optimizer stepped; `skipped`: a GradScaler refused it. `declared` is what the
    user said about the length, or None. `windows_total` counts the windows of the run: more than W where it is
    too long to be read whole. `ranks` processes were trained together. `facts` is `run.json` without the layers.
    """

    table: LayerTable
    update: Integers
    length: Integers
    seen: Integers
    consumed: Flags
    skipped: Flags
    lr: Floats
    amp_scale: Floats
    clip_coefficient: Floats
    micro: MicroSteps
    edits: Edits
    layers: LayerWindows
    declared: int | None
    windows_total: int
    facts: Mapping[str, Any]
    ranks: int = 1
    has_skipped: bool = False

    def per_window(self, values: Floats) -> Floats:
        """Sum of a micro-step column [M] over each window [W]; NaN where one is unknown."""
        return np.bincount(self.micro.window, weights=values, minlength=len(self.update)).astype(np.float64)

    @cached_property
    def accumulated(self) -> Floats:
        """||G_n|| over all layers [W]."""
        return _norm(self.layers.accumulated)

    @cached_property
    def consumed_norm(self) -> Floats:
        """Norm of what the optimizers took over all layers [W]; NaN where none stepped."""
        total = np.sqrt(np.nansum(self.layers.consumed.astype(np.float64) ** 2, axis=0))
        return np.where(self.consumed, total, np.nan)

    @cached_property
    def own_squares(self) -> Floats:
        """Q = sum over layers and micro-steps of ||g_k||^2 [W]."""
        return _norm(self.layers.own) ** 2

    @cached_property
    def samples(self) -> Floats:
        """Samples of each micro-step [M]: what was logged as such, else what the loss counted; NaN where unknown."""
        logged = self.micro.samples
        return logged if (logged > 0).all() and len(logged) else self.micro.loss_elements

    @cached_property
    def has_shares(self) -> bool:
        """Whether g_k was recorded at all."""
        return bool((self.layers.fired > 0).any())

    @cached_property
    def broken(self) -> Flags:
        """Windows in which something was not finite [W]."""
        return np.asarray(self.layers.broken.any(axis=0))

    @cached_property
    def stale(self) -> Flags:
        """Windows in which an optimizer consumed a layer that had not been reset [W]."""
        return np.asarray(self.stale_layers.any(axis=0))

    @cached_property
    def stale_layers(self) -> Flags:
        """Layers [L, W] with something left at the reset that the same window's update then consumed."""
        left = np.nan_to_num(self.layers.residual, nan=0.0, posinf=1.0) != 0
        return np.asarray(left & ~np.isnan(self.layers.consumed))

    @cached_property
    def edited(self) -> Flags:
        """Windows in which `p.grad` was changed between two backwards [W]."""
        changed = np.zeros(len(self.update), dtype=np.bool_)
        changed[self.edits.window] = True
        return changed

    @cached_property
    def wiped(self) -> Flags:
        """Edits [N] that cleared what they found."""
        return np.asarray((self.edits.held > 0) & (self.edits.wiped == self.edits.held))

    @cached_property
    def cleared(self) -> Flags:
        """Windows [W] in which all that stood was cleared between two micro-steps, also what the last one had left."""
        return np.asarray(np.bincount(self.edits.window[self.wiped], minlength=len(self.update)) > 0)

    @cached_property
    def tails(self) -> Flags:
        """Windows [W] that begin with a leftover, which was cleared once, and are of the usual length after it."""
        usual = self.usual_length
        times = np.bincount(self.edits.window[self.wiped], minlength=len(self.update))
        place = np.zeros(len(self.update), dtype=np.int64)
        place[self.edits.window[self.wiped]] = self.edits.micro_step[self.wiped]
        if usual is None:
            return np.zeros(len(self.update), dtype=np.bool_)
        return np.asarray((times == 1) & (place < usual) & (self.length - place == usual))

    @cached_property
    def preceded(self) -> Flags:
        """Windows [W] that are whole after what came first was cleared: another's turn, whose backwards came by here.

        Whole are as many micro-steps as declared, else as the first window had, if it was not cleared inside.
        """
        last = np.zeros(len(self.update), dtype=np.int64)
        np.maximum.at(last, self.edits.window[self.wiped], self.edits.micro_step[self.wiped])
        first = int(np.argmax(self.consumed)) if self.consumed.any() else None
        whole = self.declared
        if whole is None and first is not None and last[first] == 0:
            whole = int(self.length[first])
        return np.asarray((last > 0) & (self.length - last == (whole or 0)))

    @cached_property
    def sound(self) -> Flags:
        """Windows that were built up and consumed as they should: the ones that statistics may count [W]."""
        whole = self.consumed & ~self.skipped & (self.seen == self.length)
        return np.asarray(whole & ~self.broken & ~self.stale & ~self.edited)

    @cached_property
    def usual_length(self) -> int | None:
        """The declared length, else the one that at least two windows and half of all have; None: there is none."""
        if self.declared is not None:
            return self.declared
        lengths, counts = np.unique(self.length[self.consumed], return_counts=True)
        if not len(lengths) or counts.max() < max(2, counts.sum() / 2):
            return None
        return int(lengths[np.argmax(counts)])

    @cached_property
    def full(self) -> Flags:
        """Consumed windows of the usual length, or all consumed ones where there is no usual length [W]."""
        usual = self.usual_length
        return self.consumed if usual is None else self.consumed & (self.length == usual)


def _norm(singles: Singles) -> Floats:
    """Root of the sum of squares over layers [W]."""
    squares = singles.astype(np.float64)
    return np.asarray(np.sqrt(np.einsum("lw,lw->w", squares, squares)))
