"""The way of the toy's two weights over the loss, and the loss along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.accumulation_toy import AccumulationToy
from gradviz.analysis.frames import Floats
from gradviz.analysis.tables import table_of

if TYPE_CHECKING:
    import pandas as pd

GRID = 81
ROOM = 0.25  # around the right path, as a part of its extent
REACH = 2.0  # how far the picture follows a path that leaves, in extents of the right one


@dataclass(frozen=True)
class ToyPath:
    """The weights [W + 1, 2] before each update and at the end, of the loop and of one large batch (`reference`).

    `loss` and `reference_loss` [W + 1] are over all rows, `least` is what the `minimum` [2] has. `aim` [2] is where
    the loop's own weighting of the rows leads to. `height` [Y, X] is the root of the loss above the minimum, over
    the grid `first` [X] x `second` [Y]: it grows evenly with the distance, so that its contours do too.
    """

    weights: Floats
    reference: Floats
    loss: Floats
    reference_loss: Floats
    minimum: Floats
    aim: Floats
    least: float
    first: Floats
    second: Floats
    height: Floats

    @property
    def gap(self) -> float:
        """The distance of the two paths at their ends."""
        return float(np.linalg.norm(self.weights[-1] - self.reference[-1]))

    @property
    def leaves(self) -> bool:
        """Whether the loop's path goes beyond the grid."""
        low, high = self.first[[0, -1]], self.second[[0, -1]]
        inside = (self.weights >= (low[0], high[0])) & (self.weights <= (low[1], high[1]))
        return not bool(inside.all())


def toy_path(toy: AccumulationToy) -> ToyPath:
    """The paths of `toy` and the loss around them."""
    first, second = (_axis(toy, which) for which in (0, 1))
    least = toy.everything.loss(toy.minimum)
    rows = toy.everything
    curvature = rows.inputs.T @ rows.inputs / len(rows.labels)
    offset = np.stack(np.meshgrid(first, second), axis=-1) - toy.minimum
    height = np.sqrt(np.einsum("yxi,ij,yxj->yx", offset, curvature, offset) / 2)
    return ToyPath(
        weights=toy.weights,
        reference=toy.reference,
        loss=np.array([rows.loss(weights) for weights in toy.weights]),
        reference_loss=np.array([rows.loss(weights) for weights in toy.reference]),
        minimum=toy.minimum,
        aim=toy.aim,
        least=least,
        first=first,
        second=second,
        height=height,
    )


def _axis(toy: AccumulationToy, which: int) -> Floats:
    """A range that holds the right path and both aims, and the loop's path as long as it stays near."""
    right = np.concatenate([toy.reference[:, which], [toy.minimum[which], toy.aim[which]]])
    low, high = right.min(), right.max()
    extent = max(high - low, 1.0)
    path = np.clip(toy.weights[:, which], low - REACH * extent, high + REACH * extent)
    room = ROOM * extent
    return np.linspace(min(low, path.min()) - room, max(high, path.max()) + room, GRID)


@table_of.register(ToyPath)
def _(record: ToyPath) -> pd.DataFrame:
    import pandas as pd

    columns = {
        "update": np.arange(len(record.loss)),
        "weight_1": record.weights[:, 0],
        "weight_2": record.weights[:, 1],
        "loss": record.loss,
        "reference_weight_1": record.reference[:, 0],
        "reference_weight_2": record.reference[:, 1],
        "reference_loss": record.reference_loss,
    }
    return pd.DataFrame(columns)
