"""What stands around the gradients: the optimizers and their settings, batch norms, what a wrapper hides.

Said once, in `run.json`: the rules of the diagnosis ask for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from gradviz.recording.hooks import look_last
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.scalars import learning_rate
from gradviz.schema import Scalar

Describe = Callable[..., None]
HELD_BACK = "fsdp-accumulated-gradient"


class Surroundings:
    """Knows the optimizers of the watched parameters and describes the run as it learns."""

    def __init__(self, watched: WatchedParameters, describe: Describe) -> None:
        self._watched, self._describe = watched, describe
        self._hidden: list[str] = []
        self._optimizers: list[weakref.ref[Optimizer]] = []
        self._facts: list[dict[str, Any]] = []
        self.told = False
        """Whether the first micro-step has been described."""

    def stepped(self, optimizer: Optimizer, slots: list[int]) -> None:
        """`optimizer` owns these slots; a new one is described."""
        for known in self._optimizers:
            if known() is optimizer:
                return
        self._optimizers.append(weakref.ref(optimizer))
        self._facts.append(
            {
                "class": type(optimizer).__name__,
                "fused": bool(optimizer.defaults.get("fused")),
                "settings": _settings(optimizer),
                "layers": slots,
            }
        )
        self._describe(optimizers=list(self._facts))

    def rate(self) -> dict[str, Scalar]:
        """`lr` of the first optimizer, as far as one is known."""
        optimizer = self._optimizers[0]() if self._optimizers else None
        return {} if optimizer is None else learning_rate(optimizer)

    def first_micro_step(self, fired: list[int]) -> None:
        """A backward has been through the whole model: say in which order, and what works in another way."""
        self.told = True
        facts: dict[str, Any] = {"training_modules": {"batchnorm": self._watched.training_batch_norms()}}
        if fired:
            facts["forward_order"] = self._watched.forward_order(fired)
        self._hidden += self._watched.not_visible(fired)
        if self._hidden:
            facts["not_visible"] = list(self._hidden)
        self._describe(**facts)
        for known in self._optimizers:
            if (optimizer := known()) is not None:
                look_last(optimizer)

    def grown(self) -> None:
        """There are more layers: the next micro-step tells their place, too."""
        self.told = False

    def counts_unseen(self) -> bool:
        """A backward left no trace: whether it is a micro-step all the same. FSDP may keep it back for a while."""
        withheld = self._watched.withholds()
        if withheld and HELD_BACK not in self._hidden:
            self._hidden.append(HELD_BACK)
            self._describe(not_visible=list(self._hidden))
        return withheld


def _settings(optimizer: Optimizer) -> dict[str, Any]:
    """Numbers and flags of the first parameter group, without what changes as training goes on."""
    group = optimizer.param_groups[0] if optimizer.param_groups else {}
    kept = {name: value for name, value in group.items() if isinstance(value, bool | int | float)}
    betas = group.get("betas")
    return kept | ({"betas": [float(beta) for beta in betas]} if isinstance(betas, tuple | list) else {})
