"""Two moments of a run, layer by layer: which gradients grew, which shrank, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.layer_flow import LayerFlow
from gradviz.analysis.tables import framed, table_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FlowChange:
    """L layers in forward order at two moments of one run, by the same statistic.

    ratio [L] = accumulated of `after` / that of `before`: 0 and infinite where one of them is exactly zero, NaN where
    both are, or where one is missing or not finite.
    """

    before: LayerFlow
    after: LayerFlow
    ratio: Floats

    @property
    def comparable(self) -> Flags:
        """[L] Where both gradients are there, finite and not zero."""
        return np.isfinite(self.ratio) & (self.ratio > 0)


def flow_change(before: LayerFlow, after: LayerFlow) -> FlowChange:
    """The change from one moment to another; both hold the same layers and the same statistic."""
    known = [flow.recorded & (flow.nonfinite == 0) for flow in (before, after)]
    with np.errstate(divide="ignore", invalid="ignore"):  # x / 0 is infinite and 0 / 0 is NaN, as promised
        ratio = np.where(known[0] & known[1], after.accumulated / before.accumulated, np.nan)
    return FlowChange(before, after, ratio)


@table_of.register(FlowChange)
def _(record: FlowChange) -> pd.DataFrame:
    """One row a layer."""
    columns: dict[str, object] = {"layer": record.before.layers, "statistic": record.before.statistic}
    for name, flow in (("before", record.before), ("after", record.after)):
        moment = {
            "event": flow.event,
            "update": flow.update,
            "micro_step": flow.micro_step,
            "phase": flow.phase,
        }
        columns |= {f"{name}_{key}": value for key, value in moment.items()}
        columns[name] = flow.accumulated
    return framed(columns | {"ratio": record.ratio})
