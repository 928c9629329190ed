"""What a check says: a finding with its evidence, or that evidence is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.schema import Level

Evidence = int | float | str | tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing. Texts are rendered from `code` and `evidence` when it is shown.

    `layers` in forward order, empty where it concerns the whole model. `update` and `micro_step` are the first
    place to look at, None where there is none. `evidence` are the numbers that the sentences name: those whose
    name ends in `_share` are fractions. `series` is what an evidence plot draws, None where there is nothing to.
    """

    code: str
    level: Level
    layers: tuple[str, ...] = ()
    update: int | None = None
    micro_step: int | None = None
    evidence: Mapping[str, Evidence] = field(default_factory=lambda: MappingProxyType({}))
    series: EvidenceSeries | None = field(default=None, compare=False, repr=False)

    @property
    def layer(self) -> str | None:
        """The first of `layers`."""
        return self.layers[0] if self.layers else None


class MissingEvidence(Exception):  # noqa: N818  not an error: a check says with it that it cannot know
    """Raised by a check that lacks evidence; `what` are keys of the texts (`diagnosis.missing.<what>`)."""

    def __init__(self, *what: str) -> None:
        super().__init__(*what)
        self.what = what


@dataclass(frozen=True)
class Diagnosis:
    """What was found, by severity; the codes that were checked; and those that could not be, with what is missing.

    `windows` of `windows_total` windows were looked at (fewer where a run is too long to be read whole).
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    unknown: Mapping[str, tuple[str, ...]]
    windows: int
    windows_total: int


def need(known: object, *what: str) -> None:
    """Raise `MissingEvidence` where `known` is false."""
    if not known:
        raise MissingEvidence(*what)
