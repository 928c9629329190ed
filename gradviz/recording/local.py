"""The part of a tensor that this process holds: of a DTensor its shard, of any other tensor itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def local_tensor(x: Tensor) -> Tensor:
    """`x`, or the local shard of a DTensor (FSDP2, tensor parallelism). Communicates with nobody."""
    to_local: Any = getattr(x, "to_local", None)
    if to_local is None:
        return x
    with torch.no_grad():
        local: Tensor = to_local()
    return local


def is_sharded(x: Tensor) -> bool:
    """Whether each process holds another part of `x`."""
    placements: Any = getattr(x, "placements", ())
    return any(placement.is_shard() for placement in placements)
