"""Which parameters are watched, under which names: the layer table and the weak references to it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gradviz.errors import WatchError
from gradviz.recording.fsdp import FlatShard, flat_shard, is_flattened, units_of, uses_fsdp2
from gradviz.recording.layers import layer_of, modules_of, owners_of, parameters_of, plain_name
from gradviz.recording.local import is_sharded, local_tensor, shard_like
from gradviz.schema import Layer

Named = tuple[str, nn.Parameter]
CUT_SINCE = (
    "the model's parameters have been cut up among processes since gradviz.watch. "
    "Call watch when FSDP or tensor parallelism has wrapped the model"
)


class WatchedParameters:
    """The parameters of a model by slot (= `layer_id`), held weakly: a recorder keeps no model alive."""

    def __init__(
        self, named: Iterable[Named], owners: dict[str, str], units: dict[int, FlatShard] | None = None
    ) -> None:
        self.references: list[weakref.ref[torch.Tensor]] = []
        self.slot_of: dict[int, int] = {}
        self.layers: list[Layer] = []
        self.numels = np.zeros(0, dtype=np.int64)
        self.sharded = False
        """Whether this process holds but a part of some parameter."""
        self.flat: dict[int, FlatShard] = {}
        """By slot, those that FSDP1 has flattened: none of their hooks tells a gradient of theirs."""
        self.met_partial = False
        """Whether a gradient was met that no process holds: of each a summand, or cut otherwise than the weight."""
        self.model: weakref.ref[nn.Module] | None = None
        self.met_strangers = False
        """Whether an optimizer has stepped with a parameter that was not met before: the model may have grown."""
        self._flattened_since: bool | None = None
        self._alone = False  # no other ranks
        self._passed_over: dict[int, weakref.ref[torch.Tensor]] = {}  # parameters of other models, by id
        self._add(named, owners, units or {})

    def _add(
        self, named: Iterable[Named], owners: dict[str, str], units: dict[int, FlatShard]
    ) -> list[Layer]:
        names: dict[int, list[str]] = {}
        parameters: list[torch.Tensor] = []
        for name, parameter in named:
            if id(parameter) not in names:
                parameters.append(parameter)
            names.setdefault(id(parameter), []).append(name)
        first = len(self.references)
        found = {slot: flat_shard(p, units) for slot, p in enumerate(parameters, first)}
        flat = {slot: shard for slot, shard in found.items() if shard is not None}
        added = [layer_of(s, p, names[id(p)], owners, flat.get(s)) for s, p in enumerate(parameters, first)]
        self.flat |= flat
        self.references += [weakref.ref(parameter) for parameter in parameters]
        self.slot_of |= {id(parameter): slot for slot, parameter in enumerate(parameters, first)}
        self.layers += added
        numels = [self.weight(slot, p).numel() for slot, p in enumerate(parameters, first)]
        self.numels = np.concatenate([self.numels, np.array(numels, dtype=np.int64)])
        self.sharded = self.sharded or bool(flat) or any(hasattr(p, "placements") for p in parameters)
        return added

    def grow(self) -> list[Layer]:
        """Watch the parameters that the model has got since; the layers of those. Slots only ever grow in number."""
        self.met_strangers = False
        model = None if self.model is None else self.model()
        if model is None:
            return []
        named = [(name, p) for name, p in parameters_of(model) if self._slot(p) is None]
        if any(is_flattened(p) or is_sharded(p) for _, p in named):
            raise WatchError(CUT_SINCE)
        return self._add(named, owners_of(model), units_of(model)) if named else []

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

    def gone(self) -> bool:
        """Whether the model is: none of its parameters exists, and it may get no others."""
        return next(self.alive(), None) is None and (self.model is None or self.model() is None)

    def slots_of(self, optimizer: torch.optim.Optimizer) -> list[int]:
        """The slots that `optimizer` owns, ascending; another model's parameters are passed over."""
        slots: set[int] = set()
        known, references = self.slot_of, self.references
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                slot = known.get(id(parameter))
                if slot is not None and references[slot]() is parameter:  # as `_slot`, asked at every step
                    slots.add(slot)
                elif (met := self._passed_over.get(id(parameter))) is None or met() is not parameter:
                    self._passed_over[id(parameter)] = weakref.ref(parameter)
                    self.met_strangers = True
        return sorted(slots)

    def training_batch_norms(self) -> list[str]:
        """Names of the batch norms that take their statistics from each micro-batch; none of a list of parameters."""
        model = None if self.model is None else self.model()
        modules = [] if model is None else modules_of(model)
        return [name for name, m in modules if isinstance(m, _BatchNorm) and m.training]

    def held(self) -> dict[int, int]:
        """Elements that this process holds of each slot that is cut up."""
        cut = [slot for slot, p in self.alive() if slot in self.flat or is_sharded(p)]
        return {slot: int(self.numels[slot]) for slot in cut}

    def weight(self, slot: int, parameter: torch.Tensor) -> torch.Tensor:
        """What this process holds of the `parameter` in `slot`, without its history."""
        local = local_tensor(parameter.detach())
        return local[: self.flat[slot].held] if slot in self.flat else local

    def part_of(self, slot: int, gradient: torch.Tensor) -> torch.Tensor | None:
        """What this process holds of the `gradient` of `slot`; None where nobody holds its values by itself."""
        if slot in self.flat:
            return self.flat[slot].part_of(gradient)
        parameter = self.references[slot]()
        part = gradient if parameter is None else shard_like(gradient, parameter)
        self.met_partial = self.met_partial or part is None
        return part

    def averages(self, fresh: bool) -> bool:
        """Whether a backward may leave the average over ranks in `p.grad` (DDP, unless inside `no_sync`).

        Whether there are other ranks at all is asked where a window is `fresh`. Raises `WatchError` where
        FSDP1 has flattened the parameters since.
        """
        if fresh:
            self._alone = not self.sharded and not _together()
        if self._alone:
            return False
        if self.sharded:
            return True
        if self._flattened_since is None:
            self._flattened_since = any(is_flattened(p) for _, p in self.alive())
        if self._flattened_since:
            self.slot_of.clear()  # no update either
            raise WatchError(CUT_SINCE)
        model = None if self.model is None else self.model()
        return bool(getattr(model, "require_backward_grad_sync", True))

    def withholds(self) -> bool:
        """Whether gradients may be kept back for a while (FSDP): a backward may leave no trace at all."""
        model = None if self.model is None else self.model()
        if self.flat or not self.sharded or model is None:
            return self.sharded
        return uses_fsdp2(model)

    def not_visible(self, fired: list[int]) -> list[str]:
        """Codes of what the set-up hides from a recorder in this process; `fired` are slots whose hook was called."""
        if not self.sharded:
            return ["ddp-average-of-micro-gradients"] if _together() else []
        hidden = [] if set(fired) & self.held().keys() else ["fsdp-micro-gradient"]
        return hidden + (["tensor-parallel-partial-gradient"] if self.met_partial else [])

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
        named, owners = parameters_of(model), owners_of(model)
        units = units_of(model)
    else:
        named, owners, units = _pairs(model), {}, {}
    watched = WatchedParameters(named, owners, units)
    watched.model = weakref.ref(model) if isinstance(model, nn.Module) else None
    if not len(watched):
        raise WatchError(
            f"gradviz.watch was given {_described(model)}, which has no parameters. "
            "Pass the model that is trained, or model.named_parameters()."
        )
    return watched


def _together() -> bool:
    """Whether this process is one of a group."""
    return distributed.is_available() and distributed.is_initialized()


def _pairs(model: object) -> list[Named]:
    try:
        pairs = [(name, parameter) for name, parameter in model]  # type: ignore[attr-defined]
        if all(isinstance(name, str) and isinstance(p, torch.Tensor) and p.is_leaf for name, p in pairs):
            return [(plain_name(name), parameter) for name, parameter in pairs]
    except (TypeError, ValueError):
        pass
    raise WatchError(
        f"gradviz.watch was given {_described(model)}. "
        "Pass an nn.Module, or pairs of name and parameter such as model.named_parameters()."
    )


def _described(model: object) -> str:
    return f"a {type(model).__name__}"
