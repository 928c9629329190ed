"""The layer table: what is known of a parameter before training."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from gradviz.errors import WatchError
from gradviz.recording.fsdp import FlatShard
from gradviz.schema import Layer

# of torch, in the names of parameters
WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def owners_of(model: nn.Module) -> dict[str, str]:
    """Types of the modules by name."""
    return {
        plain_name(name): type(module).__name__
        for name, module in model.named_modules(remove_duplicate=False)
    }


def plain_name(name: str) -> str:
    """The name without what wrappers of torch put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def layer_of(
    slot: int, parameter: Any, names: list[str], owners: dict[str, str], flat: FlatShard | None
) -> Layer:
    """The row of one parameter; raises `WatchError` where it has no shape yet."""
    if is_lazy(parameter):
        raise WatchError(
            f"Parameter '{names[0]}' has no shape yet (a lazy module). "
            "Run one forward pass before gradviz.watch."
        )
    owner = names[0].rpartition(".")[0]
    shape = tuple(parameter.shape) if flat is None else flat.shape
    return Layer(
        layer_id=slot,
        name=names[0],
        shape=shape,
        numel=math.prod(shape),
        dtype=str(parameter.dtype).removeprefix("torch."),
        module_type=owners.get(owner, ""),
        trainable=parameter.requires_grad,
        shared_names=tuple(dict.fromkeys(names[1:])),
    )
