"""What an evidence plot draws: the numbers behind a finding, and what they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradviz.analysis.frames import Flags, Floats


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
