"""How far each update moves each layer, relative to its size: ||dw|| / ||w||."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.story_reading import layer_table
from gradviz.analysis.tables import framed, table_of

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store import Run

POINTS = 400  # more than a picture has pixels to tell apart, with a band and lines in it
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class UpdateRatio:
    """Mean ||dw|| / ||w|| [L, B] of each layer over `each` updates from `update` [B] on; NaN where unknown.

    `weights` [L] are the layers that `band` [5, B] (`QUANTILES` over layers) speaks of: those with two dimensions or
    more that are no embedding, or all where there are none. `lowest` and `highest` [B] are the places in `layers` of
    those with the least and the greatest ratio, -1 where none is known.
    """

    layers: tuple[str, ...]
    update: Integers
    each: int
    ratio: Floats
    weights: Flags
    band: Floats
    lowest: Integers
    highest: Integers


def update_ratio(run: Run, *, updates: tuple[int, int] | None = None, points: int = POINTS) -> UpdateRatio:
    """The ratio over the updates of a run, or those from first to last; all NaN where it was not recorded.

    ||dw|| and ||w|| are measured by the recorder, on the same sample of each layer. Of more than `points` updates,
    neighbours are put together and their ratios averaged.

    Source of the rule of thumb that about 1e-3 is healthy: Karpathy, CS231n, "Ratio of weights:updates".
    """
    table = layer_table(run.layers)
    first, last = updates or run.updates or (0, -1)
    each = max(1, -(-(last - first + 1) // points))
    blocks = max(0, -(-(last - first + 1) // each))
    total, count = np.zeros((2, len(table.names) * blocks))
    end = 0  # a run ends with a reset after its last update: a window without one
    place = np.full(int(table.layer_id.max(initial=-1)) + 1, -1)
    place[table.layer_id] = np.arange(len(table.names))
    for piece in run.pieces(["update", "step_l2", "weight_l2"], updates=(first, last), phases="update"):
        end = max(end, int((piece["update"].max(initial=first - 1) - first) // each) + 1)
        moved, size = piece["step_l2"], piece["weight_l2"]
        known = np.isfinite(moved) & np.isfinite(size) & (size > 0)  # a weight that diverged has no ratio
        ratio = moved[known].astype(np.float64) / size[known]
        cell = place[piece["layer_id"][known]] * blocks + (piece["update"][known] - first) // each
        total += np.bincount(cell, ratio, minlength=len(total))
        count += np.bincount(cell, minlength=len(count))
    seen = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    weights = table.matrix if table.matrix.any() else np.ones(len(table.names), dtype=np.bool_)
    return _summed_up(table.names, first, each, seen.reshape(len(table.names), blocks)[:, :end], weights)


def _summed_up(layers: tuple[str, ...], first: int, each: int, ratio: Floats, weights: Flags) -> UpdateRatio:
    """The band and its ends, where any weight is known."""
    chosen, of_band = np.flatnonzero(weights), ratio[weights]
    there = ~np.isnan(of_band).all(axis=0)
    band = np.full((len(QUANTILES), ratio.shape[1]), np.nan)
    lowest, highest = np.full((2, ratio.shape[1]), -1)
    if there.any():
        band[:, there] = np.nanquantile(of_band[:, there], QUANTILES, axis=0)
        lowest[there] = chosen[np.nanargmin(of_band[:, there], axis=0)]
        highest[there] = chosen[np.nanargmax(of_band[:, there], axis=0)]
    update = first + each * np.arange(ratio.shape[1])
    return UpdateRatio(layers, update, each, ratio, weights, band, lowest, highest)


@table_of.register(UpdateRatio)
def _(record: UpdateRatio) -> pd.DataFrame:
    """One row a point and layer; the quantiles over the weights stand beside each."""
    layers, points = record.ratio.shape
    rows = {
        "update": np.tile(record.update, layers),
        "updates": record.each,
        "layer": np.repeat(np.array(record.layers, dtype=object), points),
        "in_band": np.repeat(record.weights, points),
        "ratio": record.ratio.ravel(),
    }
    quantiles = {
        f"q{100 * q:02.0f}": np.tile(row, layers) for q, row in zip(QUANTILES, record.band, strict=True)
    }
    return framed(rows | quantiles)
