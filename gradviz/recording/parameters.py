"""Which parameters are watched, under which names: the layer table and the weak references to it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from gradviz.errors import WatchError
from gradviz.recording.local import is_sharded, local_tensor
from gradviz.schema import Layer

Named = tuple[str, nn.Parameter]


class WatchedParameters:
    """The parameters of a model by slot (= `layer_id`), held weakly: a recorder keeps no model alive."""

    def __init__(self, named: Iterable[Named], owners: dict[str, str]) -> None:
        self.references: list[weakref.ref[torch.Tensor]] = []
        self.slot_of: dict[int, int] = {}
        self.layers: list[Layer] = []
        self.numels = np.zeros(0, dtype=np.int64)
        self.sharded = False
        self.model: weakref.ref[nn.Module] | None = None
        self.met_strangers = False
        """Whether an optimizer has stepped with a parameter that was not met before: the model may have grown."""
        self._passed_over: dict[int, weakref.ref[torch.Tensor]] = {}  # parameters of other models, by id
        self._add(named, owners)

    def _add(self, named: Iterable[Named], owners: dict[str, str]) -> list[Layer]:
        names: dict[int, list[str]] = {}
        parameters: list[torch.Tensor] = []
        for name, parameter in named:
            if id(parameter) not in names:
                parameters.append(parameter)
            names.setdefault(id(parameter), []).append(_plain(name))
        first = len(self.references)
        added = [_layer(slot, p, names[id(p)], owners) for slot, p in enumerate(parameters, first)]
        numels = [local_tensor(p.detach()).numel() for p in parameters]
        self.references += [weakref.ref(parameter) for parameter in parameters]
        self.slot_of |= {id(parameter): slot for slot, parameter in enumerate(parameters, first)}
        self.layers += added
        self.numels = np.concatenate([self.numels, np.array(numels, dtype=np.int64)])
        self.sharded = self.sharded or any(is_sharded(p) for p in parameters)
        return added

    def grow(self) -> list[Layer]:
        """Watch the parameters that the model has got since; the layers of those. Slots only ever grow in number."""
        self.met_strangers = False
        model = None if self.model is None else self.model()
        if model is None:
            return []
        named = [(n, p) for n, p in model.named_parameters(remove_duplicate=False) if self._slot(p) is None]
        return self._add(named, _owners(model)) if named else []

    def _slot(self, parameter: torch.Tensor) -> int | None:
        slot = self.slot_of.get(id(parameter))  # an id is given again once its parameter is gone
        return slot if slot is not None and self.references[slot]() is parameter else None

    def __len__(self) -> int:
        return len(self.references)

    def alive(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Slot and parameter of those that still exist."""
        for slot, reference in enumerate(self.references):
            parameter = reference()
            if parameter is not None:
                yield slot, parameter

    def slots_of(self, optimizer: torch.optim.Optimizer) -> list[int]:
        """The slots that `optimizer` owns, ascending; another model's parameters are passed over."""
        slots: set[int] = set()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                slot = self._slot(parameter)
                if slot is not None:
                    slots.add(slot)
                elif (met := self._passed_over.get(id(parameter))) is None or met() is not parameter:
                    self._passed_over[id(parameter)] = weakref.ref(parameter)
                    self.met_strangers = True
        return sorted(slots)

    def training_batch_norms(self) -> list[str]:
        """Names of the batch norms that take their statistics from each micro-batch; none of a list of parameters."""
        model = None if self.model is None else self.model()
        modules = () if model is None else model.named_modules()
        return [_plain(name) for name, m in modules if isinstance(m, _BatchNorm) and m.training]

    def averages(self) -> bool:
        """Whether a backward may leave the average over ranks in `p.grad` (DDP, unless inside `no_sync`)."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return False
        model = None if self.model is None else self.model()
        return bool(getattr(model, "require_backward_grad_sync", True))

    def not_visible(self) -> list[str]:
        """Codes of what the set-up hides from a recorder in this process."""
        if self.sharded:
            return ["fsdp-micro-gradient"]
        return ["ddp-average-of-micro-gradients"] if self.averages() else []

    def forward_order(self, fired: list[int]) -> list[int]:
        """All slots in forward order: gradients arrive in reverse, modules in that order, parameters as declared.

        Those that got no gradient in this backward keep their place behind the one declared before them.
        """
        rank = {slot: place for place, slot in enumerate(reversed(fired))}
        modules = [layer.name.rpartition(".")[0] for layer in self.layers]
        first: dict[str, float] = {}
        for slot, place in rank.items():
            first[modules[slot]] = min(place, first.get(modules[slot], place))
        last = -1.0
        keys: list[tuple[float, int]] = []
        for slot, module in enumerate(modules):
            last = first.get(module, last)
            keys.append((last, slot))
        return [slot for _, slot in sorted(keys)]


def find_parameters(model: object) -> WatchedParameters:
    """The parameters of an `nn.Module`, or of an iterable of `(name, parameter)`.

    Raises `WatchError` where there is nothing to watch, and says what was given.
    """
    if isinstance(model, nn.Module):
        named, owners = list(model.named_parameters(remove_duplicate=False)), _owners(model)
    else:
        named, owners = _pairs(model), {}
    watched = WatchedParameters(named, owners)
    watched.model = weakref.ref(model) if isinstance(model, nn.Module) else None
    if not len(watched):
        raise WatchError(
            f"gradviz.watch was given {_described(model)}, which has no parameters. "
            "Pass the model that is trained, or model.named_parameters()."
        )
    return watched


def _owners(model: nn.Module) -> dict[str, str]:
    return {
        _plain(name): type(module).__name__ for name, module in model.named_modules(remove_duplicate=False)
    }


def _pairs(model: object) -> list[Named]:
    try:
        pairs = [(name, parameter) for name, parameter in model]  # type: ignore[attr-defined]
        if all(isinstance(name, str) and isinstance(p, torch.Tensor) and p.is_leaf for name, p in pairs):
            return pairs
    except (TypeError, ValueError):
        pass
    raise WatchError(
        f"gradviz.watch was given {_described(model)}. "
        "Pass an nn.Module, or pairs of name and parameter such as model.named_parameters()."
    )


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != "_orig_mod")  # torch.compile wraps modules so


def _layer(slot: int, parameter: Any, names: list[str], owners: dict[str, str]) -> Layer:
    if is_lazy(parameter):
        raise WatchError(
            f"Parameter '{names[0]}' has no shape yet (a lazy module). "
            "Run one forward pass before gradviz.watch."
        )
    owner = names[0].rpartition(".")[0]
    return Layer(
        layer_id=slot,
        name=names[0],
        shape=tuple(parameter.shape),
        numel=parameter.numel(),
        dtype=str(parameter.dtype).removeprefix("torch."),
        module_type=owners.get(owner, ""),
        trainable=parameter.requires_grad,
        shared_names=tuple(dict.fromkeys(names[1:])),
    )


def _described(model: object) -> str:
    return f"a {type(model).__name__}"
