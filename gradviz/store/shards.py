"""What each rank holds of each layer, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradviz.store.rank_files import RankFile, Segment

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shards:
    """S segments, P layers by position, R ranks in order.

    `first_update` [S]; `held` [S, R, P] elements that a rank holds of a sharded layer; `scale` [S, P]: by what
    sums over the ranks are multiplied (1, and less where shards are replicated too), 0 for a layer that is
    not sharded and NaN for one of which a shard was never recorded.
    """

    first_update: NDArray[np.int64]
    ranks: tuple[int, ...]
    takes_part: NDArray[np.bool_]  # [S, R]
    held: Floats
    scale: Floats

    def segment_of(self, update: NDArray[Any]) -> NDArray[np.int64]:
        """Which segment an update belongs to."""
        return np.maximum(np.searchsorted(self.first_update, update, side="right") - 1, 0)


def find_shards(
    ranks: Sequence[int],
    files: Mapping[int, RankFile | None],
    layer_ids: NDArray[np.int32],
    numels: NDArray[np.int64],
) -> Shards:
    """Put together what the ranks say; `layer_ids` [P] ascend and `numels` [P] are those of the whole layers.

    A rank that says nothing (an older run, a damaged file) takes part from the first update on.
    """
    segments = {rank: file.segments if file else (Segment(),) for rank, file in files.items()}
    starts = sorted({segment.first_update for of in segments.values() for segment in of}) or [0]
    held = np.zeros((len(starts), len(ranks), len(layer_ids)))
    takes_part = np.zeros((len(starts), len(ranks)), dtype=bool)
    for place, rank in enumerate(ranks):
        for segment in segments[rank]:
            row = starts.index(segment.first_update)
            takes_part[row, place] = True
            known = [of for of in segment.shards if of in set(layer_ids.tolist())]
            held[row, place, np.searchsorted(layer_ids, known)] = [segment.shards[of] for of in known]
    total = held.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = (total > 0) & (total % np.maximum(numels, 1) == 0)
        scale = np.where(total == 0, 0.0, np.where(whole, numels / total, np.nan))
    return Shards(np.array(starts), tuple(ranks), takes_part, held, scale)
