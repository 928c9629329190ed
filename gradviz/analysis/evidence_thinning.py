"""Fewer points of an evidence series: what stands out in each stretch stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.frames import Integers

KEPT_OF_A_STRETCH = 3


def thin_evidence(series: EvidenceSeries, *, points: int = 1500) -> EvidenceSeries:
    """At most about `points` points: of each stretch its largest, its smallest and the first marked one.

    First and last stay. Series over layers are never thinned: a layer that is missing would look healthy.
    """
    if series.over == "layer" or len(series.y) <= points:
        return series
    stretches = np.array_split(np.arange(len(series.y)), max(1, points // KEPT_OF_A_STRETCH))
    kept = {0, len(series.y) - 1}
    for stretch in stretches:
        kept |= _standing_out(series, stretch)
    rows = np.array(sorted(kept))
    return replace(series, x=series.x[rows], y=series.y[rows], marked=series.marked[rows])


def _standing_out(series: EvidenceSeries, stretch: Integers) -> set[int]:
    kept = {int(stretch[np.argmax(series.marked[stretch])])} if series.marked[stretch].any() else set()
    known = stretch[np.isfinite(series.y[stretch])]
    if len(known):
        kept |= {int(known[np.argmax(series.y[known])]), int(known[np.argmin(series.y[known])])}
    return kept or {int(stretch[0])}
