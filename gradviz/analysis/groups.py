"""Layers put together by the modules that own them, and their rows rolled up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers, counts, floats, integers

if TYPE_CHECKING:
    import pandas as pd

INDEX = ("event", "update", "micro_step", "phase")
COUNTS = ("nonfinite", "micro_nonfinite")
MEANS = ("mean_abs", "micro_mean_abs", "zeros", "unchanged")
NORMS = ("l2", "micro_l2", "weight_l2", "step_l2")
MAXIMA = ("max_abs", "micro_max_abs")
UNCOUNTED = ("zeros", "unchanged", "weight_l2", "step_l2")  # never NaN themselves: NaN is null

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """Some layers of a run under one name: a module's, or one layer's own."""

    name: str
    layers: tuple[str, ...]


def module_tree(layers: Sequence[str], depth: int) -> tuple[Group, ...]:
    """The layers of a run grouped by their modules down to `depth`, in the order in which groups first appear.

    The module of `blocks.0.attn.weight` is `blocks.0.attn`: a depth of 1 groups it as `blocks`, of 2 as `blocks.0`.
    A parameter outside any module is its own. From `tree_depth(layers)` on there is one group a layer.
    """
    if depth >= tree_depth(layers):
        return tuple(Group(layer, (layer,)) for layer in layers)
    members: dict[str, list[str]] = {}
    for layer in layers:
        members.setdefault(".".join(_module(layer)[:depth]), []).append(layer)
    return tuple(Group(name, tuple(names)) for name, names in members.items())


def tree_depth(layers: Sequence[str]) -> int:
    """The least depth at which each layer stands alone: one below the deepest module; 1 without layers."""
    return 1 + max((len(_module(layer)) for layer in layers), default=0)


def finest_depth(layers: Sequence[str], most: int) -> int | None:
    """The depth at which a large model's modules come to at most `most` groups and to as many as that allows.

    None where there are no more layers than that, or where even their outermost modules are too many.
    """
    if len(layers) <= most:
        return None
    depths = range(tree_depth(layers) - 1, 0, -1)
    return next((depth for depth in depths if len(module_tree(layers, depth)) <= most), None)


def rolled_up(gradients: pd.DataFrame, table: pd.DataFrame, groups: Sequence[Group]) -> pd.DataFrame:
    """Rows of `Run.gradients()` with groups in place of layers: one row an event and group that has any.

    As if all elements of a group were one gradient: mean |x| and the fractions weighted by the elements of the
    layers that have one, norms the root of the summed squares, the greatest maximum, counts added up. A count is
    <NA>, and its statistics are null, only where no layer of the group had a gradient. The cosine is null: it does
    not follow from the layers' own.

    Args:
        gradients: a statistic needs its count (`nonfinite`, `micro_nonfinite`) beside it.
        table: `Run.layers`, for the numbers of elements.
        groups: a layer belongs to one of them at most; the rows of one that belongs to none are left out.

    Returns: the columns of `gradients`, ordered by group and event; `layer` has the groups' names.
    """
    import pandas as pd

    group_of = {layer: place for place, group in enumerate(groups) for layer in group.layers}
    known, code = gradients["layer"].cat.categories, gradients["layer"].cat.codes.to_numpy()
    group = np.array([group_of.get(name, -1) for name in known], dtype=np.int64)[code]
    numel = table.set_index("layer")["numel"].reindex(known).fillna(0).to_numpy(dtype=np.float64)[code]
    if (group < 0).any():
        gradients, numel, group = gradients[group >= 0], numel[group >= 0], group[group >= 0]
    place, events = pd.factorize(integers(gradients, "event"), sort=True)
    cells = _Cells(gradients, group * len(events) + place, numel)
    names = pd.CategoricalDtype([one.name for one in groups])
    columns = {name: cells.combined(name) for name in gradients.columns if name != "layer"}
    columns["layer"] = pd.Categorical.from_codes(cells.filled // max(len(events), 1), dtype=names)
    return pd.DataFrame({name: columns[name] for name in gradients.columns}, copy=False)


class _Cells:
    """Rows on their way into cells of groups x events; `cell` is the number of each row's."""

    def __init__(self, rows: pd.DataFrame, cell: Integers, numel: Floats) -> None:
        self.rows, self.numel = rows, numel
        self.filled = np.flatnonzero(np.bincount(cell))
        number = np.empty(cell.max(initial=-1) + 1, dtype=np.int64)
        number[self.filled] = np.arange(len(self.filled))
        self.cell = number[cell]
        self.one_row = np.empty(len(self.filled), dtype=np.int64)
        self.one_row[self.cell] = np.arange(len(cell))
        self._counts = {name: counts(rows, name) for name in COUNTS if name in rows}

    def combined(self, name: str) -> Any:
        """A column of all cells."""
        if name in INDEX:
            return self.rows[name].array.take(self.one_row)
        there = self._there(name)
        known = self._add(there) > 0
        return self._counted(name, there, known) if name in COUNTS else self._measured(name, there, known)

    def _counted(self, name: str, there: Flags, known: Flags) -> Any:
        import pandas as pd

        total = self._add(np.where(there, self._counts[name], 0))
        return pd.arrays.IntegerArray(total.astype(np.int64), ~known)

    def _measured(self, name: str, there: Flags, known: Flags) -> Singles:
        values = np.where(there, floats(self.rows, name), 0.0)
        with np.errstate(all="ignore"):  # NaN and infinity pass through
            if name in MEANS:
                found = self._add(values * self.numel) / np.maximum(self._add(there * self.numel), 1.0)
            elif name in NORMS:
                found = np.sqrt(self._add(values**2))
            elif name in MAXIMA:
                found = np.zeros(len(known))
                np.maximum.at(found, self.cell, values)
            else:
                found = np.full(len(known), np.nan)
            return np.where(known, found, np.nan).astype(np.float32)

    def _there(self, name: str) -> Flags:
        """Which rows have the statistic; where a count says so, NaN is a value like others."""
        count = "micro_nonfinite" if name.startswith("micro_") else "nonfinite"
        if name in (*UNCOUNTED, "cosine"):
            return ~np.isnan(floats(self.rows, name))
        return np.asarray(self._counts[count] != NO_GRADIENT)

    def _add(self, values: Flags | Integers | Floats) -> Floats:
        return np.bincount(self.cell, weights=values, minlength=len(self.filled)).astype(np.float64)


def _module(layer: str) -> list[str]:
    """The parts of a layer's name that name modules; of a parameter outside any module, its own name."""
    *module, parameter = layer.split(".")
    return module or [parameter]
