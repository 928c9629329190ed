"""What this process holds of a gradient is told without asking another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed.tensor import Partial, Replicate, Shard

from gradviz.recording.local import shard_like

HELD = torch.ones(2)


def placed(*placements: Any) -> Any:
    """What is cut so; to cut it otherwise is allowed where that asks nobody."""

    def redistribute(*, placements: tuple[Any, ...]) -> Any:
        assert all(
            one.is_replicate() or one == other
            for one, other in zip(whole.placements, placements, strict=True)
        )
        return placed(*placements)

    whole = SimpleNamespace(placements=placements, to_local=lambda: HELD, redistribute=redistribute)
    return whole


@pytest.mark.parametrize(
    ("gradient", "parameter", "held"),
    [
        ((Shard(0),), (Shard(0),), True),
        ((Replicate(),), (Shard(0),), True),
        ((Replicate(), Shard(1)), (Shard(0), Shard(1)), True),
        ((Replicate(),), (), True),
        ((Partial(),), (Replicate(),), False),
        ((Partial(),), (), False),
        ((Shard(1),), (Shard(0),), False),
        ((Shard(0),), (Replicate(),), False),
        ((Replicate(),), (Shard(0), Shard(1)), False),
    ],
)
def test_only_what_lies_here_is_measured(gradient: Any, parameter: Any, held: bool) -> None:
    part = shard_like(placed(*gradient), placed(*parameter))
    assert (part is HELD) if held else (part is None)
