"""All layers at one event: what plot_grad_flow shows, for any moment of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import NO_GRADIENT, Flags, Floats, Integers, Statistic, counts, floats, integers
from gradviz.analysis.tables import framed, known, table_of
from gradviz.schema import PHASES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerFlow:
    """L layers in forward order at one event. `nonfinite` is -1 where there was no gradient (None).

    `recorded` is False where the event has no row for a layer (its optimizer did not step).
    `event`, `update` and `micro_step` are -1 and `phase` empty for gradients that come from no run.
    """

    layers: tuple[str, ...]
    statistic: Statistic
    accumulated: Floats
    micro: Floats
    maximum: Floats
    nonfinite: Integers
    micro_nonfinite: Integers
    recorded: Flags
    event: int = -1
    update: int = -1
    micro_step: int = -1
    phase: str = ""


@table_of.register(LayerFlow)
def _(record: LayerFlow) -> pd.DataFrame:
    """One row a layer."""
    return framed(
        {
            "layer": record.layers,
            "event": record.event,
            "update": record.update,
            "micro_step": record.micro_step,
            "phase": record.phase,
            record.statistic: record.accumulated,
            f"micro_{record.statistic}": record.micro,
            "maximum": record.maximum,
            "nonfinite": known(record.nonfinite),
            "micro_nonfinite": known(record.micro_nonfinite),
            "recorded": record.recorded,
        }
    )


def layer_flow(
    gradients: pd.DataFrame,
    *,
    event: int,
    statistic: Statistic = "mean_abs",
    layers: pd.DataFrame | None = None,
) -> LayerFlow:
    """All layers at `event`; order and names from `layers` (of `Run.layers`), else from the categories."""
    rows = gradients[integers(gradients, "event") == event]
    names = _names(gradients, layers)
    codes = rows["layer"].cat.set_categories(list(names)).cat.codes.to_numpy(dtype=np.int64)
    rows, codes = rows[codes >= 0], codes[codes >= 0]
    place = np.full(len(names), -1)
    place[codes] = np.arange(len(codes))

    def spread(column: Floats) -> Floats:
        return np.where(place >= 0, np.append(column, np.nan)[place], np.nan)

    def spread_counts(column: Integers) -> Integers:
        return np.where(place >= 0, np.append(column, NO_GRADIENT)[place], NO_GRADIENT)

    first = rows.iloc[0] if len(rows) else None
    return LayerFlow(
        layers=names,
        statistic=statistic,
        accumulated=spread(floats(rows, statistic)),
        micro=spread(floats(rows, f"micro_{statistic}")),
        maximum=spread(floats(rows, "max_abs")),
        nonfinite=spread_counts(counts(rows, "nonfinite")),
        micro_nonfinite=spread_counts(counts(rows, "micro_nonfinite")),
        recorded=place >= 0,
        event=event,
        update=-1 if first is None else int(first["update"]),
        micro_step=-1 if first is None else int(first["micro_step"]),
        phase="" if first is None else PHASES[PHASES.index(first["phase"])],
    )


def _names(gradients: pd.DataFrame, layers: pd.DataFrame | None) -> tuple[str, ...]:
    if layers is not None:
        return tuple(str(name) for name in layers["layer"])
    present = np.unique(gradients["layer"].cat.codes.to_numpy())
    return tuple(str(gradients["layer"].cat.categories[code]) for code in present if code >= 0)
