"""Do the micro-gradients of a window point the same way? From norms alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradviz.analysis.frames import Floats, Integers
from gradviz.analysis.noise import usable_windows
from gradviz.analysis.story import RunStory
from gradviz.analysis.story_reading import run_story

if TYPE_CHECKING:
    from gradviz.store import Run


@dataclass(frozen=True)
class Coherence:
    """Of each usable window [W'] (`update`), over all layers, and of each layer [L, W'] (`layers`, `layer_coherence`,
    `layer_gain`).

    coherence = ||G_n|| / sum ||g_k||, 1 where all are aligned; `floor` = sqrt(Q) / sum ||g_k||, what pure noise gives.
    gain = P / Q = ||G_n||^2 / sum ||g_k||^2: 1 pure noise, n aligned, below 1 cancellation.
    alignment = (P / Q - 1) / (n - 1), the mean cosine of two micro-gradients where all are equally long.
    """

    update: Integers
    length: Integers
    coherence: Floats
    floor: Floats
    gain: Floats
    layers: tuple[str, ...]
    layer_coherence: Floats
    layer_gain: Floats

    @property
    def alignment(self) -> Floats:
        """(P / Q - 1) / (n - 1) of each window."""
        return (self.gain - 1) / (self.length - 1)

    @property
    def layer_alignment(self) -> Floats:
        """The same of each layer [L, W']."""
        return (self.layer_gain - 1) / (self.length - 1)


def coherence(run: Run) -> Coherence:
    """How much of the micro-gradients' length survives their addition, over time and by layer, from norms alone.

    Windows that were not reset, were changed inside, are not finite or have one micro-step only are left out, and all
    where ranks average their gradients.
    """
    return coherence_of(run_story(run))


def coherence_of(story: RunStory) -> Coherence:
    """As `coherence`, of a story that was read already."""
    windows = usable_windows(story)
    lengths = story.per_window(np.sqrt(story.micro.squares))[windows]
    own, whole = story.own_squares[windows], story.accumulated[windows]
    with np.errstate(all="ignore"):
        layer_whole = story.layers.accumulated[:, windows].astype(np.float64)
        layer_coherence = layer_whole / story.layers.norms[:, windows]
        layer_gain = (layer_whole / story.layers.own[:, windows]) ** 2
    return Coherence(
        update=story.update[windows],
        length=story.length[windows],
        coherence=whole / lengths,
        floor=np.sqrt(own) / lengths,
        gain=whole**2 / own,
        layers=story.table.names,
        layer_coherence=layer_coherence,
        layer_gain=layer_gain,
    )
