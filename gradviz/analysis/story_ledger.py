"""The window ledger of a whole run, from its story: one row a window, whatever its length."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from gradviz.analysis.frames import Flags, Floats, Integers
from gradviz.analysis.story import RunStory


@dataclass(frozen=True)
class StoryLedger:
    """W windows: `place` among those of the story, `length` in micro-steps.

    `broken`: something was NaN or Inf; `edited`: changed inside. `residual` is the norm of what was left before it
    (NaN: not recorded), `loss` the mean of its losses (`loss_is_nan`: it is, and is not just unknown), `weight` what
    the weights of the loss add up to, `norm` ||G_n||, `clip` what was consumed over it, `coherence` ||G_n|| over the
    sum of ||g_k||. What is not known is NaN.
    `windows_total` counts the windows before any choice.
    """

    place: Integers
    update: Integers
    length: Integers
    consumed: Flags
    skipped: Flags
    broken: Flags
    edited: Flags
    residual: Floats
    loss: Floats
    loss_is_nan: Flags
    weight: Floats
    lr: Floats
    amp_scale: Floats
    norm: Floats
    clip: Floats
    coherence: Floats
    windows_total: int

    @property
    def odd(self) -> Flags:
        """Windows [W] that began with something left, broke, were changed inside, or were not consumed."""
        return np.asarray((self.residual > 0) | self.broken | self.edited | ~self.consumed | self.skipped)

    def only(self, rows: Flags) -> StoryLedger:
        """The ledger of some windows [W]."""
        chosen: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name != "windows_total"
        }
        return replace(self, **chosen)


def story_ledger(story: RunStory) -> StoryLedger:
    """The ledger of every window of the story, over all layers together."""
    micro = story.micro
    lengths = story.per_window(np.sqrt(micro.squares))
    with np.errstate(all="ignore"):
        coherence = np.where(lengths > 0, story.accumulated / lengths, np.nan)
    return StoryLedger(
        place=np.arange(len(story.update)),
        update=story.update,
        length=story.length,
        consumed=story.consumed & ~story.skipped,
        skipped=story.skipped,
        broken=story.broken,
        edited=story.edited,
        residual=_residual(story),
        loss=story.per_window(micro.loss) / story.seen,
        loss_is_nan=story.per_window(np.nan_to_num(micro.loss_is_nan)) > 0,
        weight=story.per_window(micro.loss_weight * micro.loss_elements),
        lr=story.lr,
        amp_scale=story.amp_scale,
        norm=story.accumulated,
        clip=story.clip_coefficient,
        coherence=coherence,
        windows_total=story.windows_total,
    )


def few_windows(ledger: StoryLedger, most: int, wanted: Integers) -> StoryLedger:
    """At most about `most` windows: those of the updates `wanted`, odd ones, the first and the last; in order."""
    count = len(ledger.update)
    if count <= most:
        return ledger
    ends = np.zeros(count, dtype=np.bool_)
    ends[: most // 4] = ends[count - most // 4 :] = True
    chosen = ends | np.isin(ledger.update, wanted)
    odd = np.flatnonzero(ledger.odd & ~chosen)
    chosen[odd[: max(0, most - int(chosen.sum()))]] = True
    return ledger.only(chosen)


def _residual(story: RunStory) -> Floats:
    """Norm over layers of what was left at the reset [W]; NaN where none was recorded, infinite where not finite."""
    left = story.layers.residual.astype(np.float64)
    known = ~np.isnan(left)
    norm = np.sqrt(np.sum(np.where(known, left, 0.0) ** 2, axis=0))
    return np.where(known.any(axis=0), norm, np.nan)
