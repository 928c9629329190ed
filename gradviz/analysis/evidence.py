"""What an evidence plot draws: the numbers behind a finding, and what they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.tables import framed, table_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvidenceSeries:
    """N points: `y` over `x`, which counts updates, micro-steps of the run, or layers in forward order.

    `quantity` names what y is (a key of the texts). `marked` are the points that raised the finding. `limits` are
    horizontal lines that y is held against. `names` [N] are the layers where `over` is "layer".
    """

    quantity: str
    over: Literal["update", "micro_step", "layer"]
    x: Floats
    y: Floats
    marked: Flags
    limits: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    log: bool = False


@table_of.register(EvidenceSeries)
def _(record: EvidenceSeries) -> pd.DataFrame:
    """One row a point."""
    points: dict[str, object] = {record.over: record.x}
    if record.names:
        points = {"position": record.x, "layer": record.names}
    limits = {f"limit_{number}": limit for number, limit in enumerate(record.limits, start=1)}
    return framed({**points, record.quantity: record.y, "marked": record.marked, **limits})
