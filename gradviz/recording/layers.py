"""The layer table: what is known of a parameter before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from gradviz.errors import WatchError
from gradviz.recording.fsdp import FlatShard
from gradviz.schema import Layer

# of torch, in the names of parameters
WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def parameters_of(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters with their plain names; one that is shared once for each name."""
    plain = _plain_names(model)
    return [(plain(name), p) for name, p in model.named_parameters(remove_duplicate=False)]


def modules_of(model: nn.Module, *, once: bool = True) -> list[tuple[str, nn.Module]]:
    """The modules with their plain names, a wrapper before what it wraps; each once, or for each name."""
    plain = _plain_names(model)
    return [(plain(name), module) for name, module in model.named_modules(remove_duplicate=once)]


def owners_of(model: nn.Module) -> dict[str, str]:
    """Types of the modules by name; of a wrapper that of what it wraps."""
    return {name: type(module).__name__ for name, module in modules_of(model, once=False)}


def _plain_names(model: nn.Module) -> Callable[[str], str]:
    """What takes the wrappers of this model out of its names: its own `module` is none, that of DDP is."""
    copied = {
        f"{name}.module" if name else "module"
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, DataParallel | DistributedDataParallel)
    }
    return lambda name: plain_name(name, copied)


def plain_name(name: str, copied: Container[str] = ()) -> str:
    """The name without what wrappers of torch put into it; `copied` are names of modules that DDP wraps."""
    parts = name.split(".")
    kept = [
        part
        for place, part in enumerate(parts, start=1)
        if part not in WRAPPERS and not (part == "module" and ".".join(parts[:place]) in copied)
    ]
    return ".".join(kept)


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
