"""Places of a run that have something said about them: what a check found, on its way into a picture."""

from __future__ import annotations

from dataclasses import dataclass

from gradviz.schema import Level


@dataclass(frozen=True)
class PlaceMark:
    """A title at an update, or at one of its micro-steps (0: the reset before it; None: the update itself)."""

    update: int
    micro_step: int | None
    level: Level
    title: str
    layers: tuple[str, ...] = ()
