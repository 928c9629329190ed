"""Small questions that many checks ask of a story: where first, which layers, a series over updates."""

from __future__ import annotations

import numpy as np

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.analysis.frames import Flags, Floats
from gradviz.analysis.story import RunStory


def known_median(values: Floats) -> float:
    """Median of what is known; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def first_update(story: RunStory, windows: Flags) -> int | None:
    """The update of the first of `windows` [W]."""
    return int(story.update[np.argmax(windows)]) if windows.any() else None


def names_of(story: RunStory, layers: Flags) -> tuple[str, ...]:
    """Names of the chosen `layers` [L]."""
    return tuple(story.table.names[place] for place in np.flatnonzero(layers))


def over_updates(
    story: RunStory,
    quantity: str,
    y: Floats,
    marked: Flags,
    *,
    limits: tuple[float, ...] = (),
    log: bool = False,
) -> EvidenceSeries:
    """A series of one value a window."""
    x = story.update.astype(np.float64)
    return EvidenceSeries(quantity, "update", x, np.asarray(y, dtype=np.float64), marked, limits, (), log)


def over_layers(
    story: RunStory,
    quantity: str,
    layers: Flags,
    y: Floats,
    *,
    limits: tuple[float, ...] = (),
    log: bool = True,
) -> EvidenceSeries:
    """A series of one value for each of the chosen `layers` [L]; `y` [layers.sum()]."""
    places = np.flatnonzero(layers)
    none = np.zeros(len(places), dtype=np.bool_)
    return EvidenceSeries(
        quantity, "layer", places.astype(np.float64), y, none, limits, names_of(story, layers), log
    )


def last_windows(windows: Flags, count: int) -> Flags:
    """The last `count` of `windows` [W]."""
    chosen = np.zeros(len(windows), dtype=np.bool_)
    chosen[np.flatnonzero(windows)[-count:]] = True
    return chosen
