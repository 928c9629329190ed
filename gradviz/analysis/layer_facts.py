"""Everything known of each layer at one event: what stands in the hover of a picture, and in its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers, floats, integers, phases
from gradviz.analysis.story_reading import layer_table
from gradviz.schema import Phase

if TYPE_CHECKING:
    import pandas as pd

OF_THE_EVENT = (
    "mean_abs", "l2", "max_abs", "nonfinite",
    "micro_mean_abs", "micro_l2", "micro_max_abs", "micro_nonfinite", "cosine",
)  # fmt: skip
OF_THE_UPDATE = ("zeros", "step_l2", "weight_l2", "unchanged")  # taken when the optimizer steps


@dataclass(frozen=True)
class LayerFacts:
    """L layers in forward order. `values` has [L] for each statistic; NaN is null, or a NaN where `nonfinite` > 0.

    Those of `OF_THE_UPDATE` come from the update that the window of the event leads to.
    """

    layers: tuple[str, ...]
    module_type: tuple[str, ...]
    shape: tuple[str, ...]
    numel: Integers
    values: Mapping[str, Floats]

    @property
    def step_ratio(self) -> Floats:
        """[L] ||dw|| / ||w|| at the update; NaN where unknown or the weights are zero."""
        weight = self.values["weight_l2"]
        ratio: Floats = np.divide(
            self.values["step_l2"], weight, out=np.full(len(weight), np.nan), where=weight > 0
        )
        return ratio


def layer_facts(gradients: pd.DataFrame, *, event: int, layers: pd.DataFrame) -> LayerFacts:
    """The facts at `event`, one of `gradients`, which hold its whole window; order and names are of `layers`.

    Args:
        gradients: of `Run.gradients()`.
        event: number of an event.
        layers: `Run.layers`, or some of its rows.
    """
    number = integers(gradients, "event")
    here = gradients[number == event]
    windows = integers(here, "update")[:1]
    stepped = np.isin(integers(gradients, "update"), windows) & (phases(gradients) == Phase.UPDATE)
    values = {name: _spread(here, name, layers) for name in OF_THE_EVENT}
    values |= {name: _spread(gradients[stepped], name, layers) for name in OF_THE_UPDATE}
    return LayerFacts(
        layers=tuple(str(name) for name in layers["layer"]),
        module_type=tuple(str(kind) for kind in layers["module_type"]),
        shape=tuple(" × ".join(map(str, shape)) or "1" for shape in layers["shape"]),
        numel=integers(layers, "numel"),
        values=values,
    )


def only_weights(layers: pd.DataFrame) -> pd.DataFrame:
    """The rows of `Run.layers` with two dimensions or more that are no embedding; all where there are none."""
    weights = layer_table(layers).matrix
    return layers[weights] if weights.any() else layers


def _spread(rows: pd.DataFrame, column: str, layers: pd.DataFrame) -> Floats:
    """A column [L] over all layers; of a layer with several rows the last."""
    place = rows["layer"].cat.set_categories(list(layers["layer"])).cat.codes.to_numpy()
    found = np.full(len(layers), np.nan)
    found[place[place >= 0]] = floats(rows, column)[place >= 0]
    return found
