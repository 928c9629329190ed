"""What FSDP does to parameters: FSDP1 (`FullyShardedDataParallel`) cuts them out of a flat one; both hide gradients.

Looks at what the training has imported, and imports nothing: FSDP takes seconds to load.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, NamedTuple

from torch import Tensor, nn

from gradviz.errors import WatchError


class FlatShard(NamedTuple):
    """`shape` of the whole parameter, elements `held` by this process, and the `flat` parameter it is part of."""

    shape: tuple[int, ...]
    held: int
    flat: weakref.ref[Tensor]

    def part_of(self, gradient: Tensor) -> Tensor | None:
        """What this process holds of the summed gradient, without padding.

        None inside `no_sync`, where FSDP1 keeps this process's own whole gradient in its place.
        """
        flat: Any = self.flat()
        if flat is None or flat.grad is None or flat.grad.numel() != flat._sharded_size.numel():
            return None
        return gradient[: self.held]


def is_flattened(parameter: Tensor) -> bool:
    """Whether FSDP1 has made `parameter` a part of a flat one, or the flat one itself."""
    return bool(getattr(parameter, "_fsdp_flattened", False))


def flat_shard(parameter: Tensor, units: dict[int, FlatShard]) -> FlatShard | None:
    """The shard that `parameter` is; None where FSDP1 has not flattened it. `units` as of `units_of`.

    Raises `WatchError` where the wrapper that knows its shape was not given.
    """
    if not is_flattened(parameter):
        return None
    if getattr(parameter, "_is_flat_param", False):
        return _whole_unit(parameter)
    if id(parameter) not in units:
        raise WatchError(
            "gradviz.watch was given parameters that FullyShardedDataParallel has flattened, without its wrapper. "
            "Pass the module that FullyShardedDataParallel(...) returned."
        )
    return units[id(parameter)]


def units_of(model: nn.Module) -> dict[int, FlatShard]:
    """The shards of all original parameters (`use_orig_params=True`), by their ids."""
    handles: list[Any] = [module._handle for module in _modules(model, "FullyShardedDataParallel")]
    return {
        id(parameter): FlatShard(tuple(shape), cut.numel_in_shard or 0, weakref.ref(handle.flat_param))
        for handle in handles
        if handle is not None
        for parameter, shape, cut in _originals(handle.flat_param)
    }


def uses_fsdp2(model: nn.Module) -> bool:
    """Whether `fully_shard` was called on a part of `model`."""
    return bool(_modules(model, "FSDPModule"))


def _modules(model: nn.Module, kind: str) -> list[Any]:
    wanted = getattr(sys.modules.get("torch.distributed.fsdp"), kind, None)
    return [] if wanted is None else [module for module in model.modules() if isinstance(module, wanted)]


def _originals(flat: Any) -> Any:
    return zip(flat._params or (), flat._shapes, flat._shard_param_infos, strict=False)


def _whole_unit(flat: Any) -> FlatShard:
    """All parameters of a unit as one (`use_orig_params=False`)."""
    whole = flat._unpadded_unsharded_size.numel()
    return FlatShard((whole,), flat.numel() - flat._shard_numel_padded, weakref.ref(flat))
