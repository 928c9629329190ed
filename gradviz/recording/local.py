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
    return any(placement.is_shard() for placement in _placements(x))


def is_partial(x: Tensor) -> bool:
    """Whether `x` is a sum of which each process holds a summand: its values are nowhere."""
    return any(placement.is_partial() for placement in _placements(x))


def shard_like(gradient: Tensor, parameter: Tensor) -> Tensor | None:
    """What this process holds of `gradient`, cut as `parameter` is. It may be whole here (an embedding's).

    None where others would have to be asked: a sum of which each process holds a summand, or one cut another way.
    """
    there, wanted = _placements(gradient), _placements(parameter)
    if is_partial(gradient):
        return None
    if there == wanted or not wanted:
        return local_tensor(gradient)
    if len(there) != len(wanted) or any(
        a != b and not a.is_replicate() for a, b in zip(there, wanted, strict=True)
    ):
        return None
    cut: Any = gradient
    with torch.no_grad():  # from whole to cut: nobody is asked
        return local_tensor(cut.redistribute(placements=wanted))


def _placements(x: Tensor) -> tuple[Any, ...]:
    return tuple(getattr(x, "placements", ()))
