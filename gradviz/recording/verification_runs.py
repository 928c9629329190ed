"""One run of a callable that leaves gradients in a model: the gradients, and what was seen on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook

from gradviz.recording import backward
from gradviz.recording.loss_audit import LossAudit, audit
from gradviz.recording.model_state import ModelState, drew_random_numbers, random_state

_SAMPLE = 2**18  # gradient elements that are looked at before and after each backward


@dataclass(frozen=True)
class Share:
    """One backward pass: what it added to the sampled gradients, what was there before, and its loss's weight."""

    added: Tensor
    before: Tensor
    after: Tensor
    weight: float | None
    elements: int | None


@dataclass
class Trial:
    """What one run left and showed: gradients by parameter name (None where there is none)."""

    gradients: dict[str, Tensor | None] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    batchnorm: set[str] = field(default_factory=set)
    random: bool = False
    sample: Tensor = field(default_factory=lambda: torch.zeros(0))
    dtypes: set[torch.dtype] = field(default_factory=set)


class _Witness:
    """Sees the backward passes of one run; listens to `gradviz.recording.backward`."""

    def __init__(self, model: nn.Module, trial: Trial) -> None:
        self._parameters = list(model.parameters())
        self._stride = max(1, math.ceil(sum(p.numel() for p in self._parameters) / _SAMPLE))
        self._trial = trial
        self._before: Tensor | None = None
        self._audit = LossAudit()

    def begin_backward(self, tensors: Any, gradient: Any) -> None:
        """The loss's graph is still there."""
        self._audit = audit(tensors, gradient=gradient)
        self._before = self.sample()

    def end_backward(self, completed: bool) -> None:
        """What this backward has added."""
        if completed and self._before is not None:
            after = self.sample()
            weight, elements = _read(self._audit.weight), _read(self._audit.elements)
            count = None if elements is None else round(elements)
            self._trial.shares.append(Share(after - self._before, self._before, after, weight, count))

    def sample(self) -> Tensor:
        """Every so-manieth element of each gradient, in float64 on the CPU; no gradient is zeros."""
        return torch.cat([self._sample_of(p).double().cpu() for p in self._parameters])

    def _sample_of(self, parameter: Tensor) -> Tensor:
        source = parameter.detach() if parameter.grad is None else _dense(parameter.grad)
        part = source.reshape(-1)[:: self._stride]
        return torch.zeros_like(part) if parameter.grad is None else part


def _read(number: Any) -> float | None:
    try:
        return None if number is None else float(number() if callable(number) else number)
    except Exception:  # unknown after all
        return None


def _dense(gradient: Tensor) -> Tensor:
    gradient = gradient.detach()
    return gradient if gradient.layout is torch.strided else gradient.to_dense()


def attempt(
    model: nn.Module, state: ModelState, callable_: Callable[[], object], *, quieted: Sequence[nn.Module] = ()
) -> Trial:
    """Run `callable_` from `state`, without gradients to begin with; `state` is not restored afterwards."""
    state.restore()
    for parameter in model.parameters():
        parameter.grad = None
    trial = Trial()
    witness = _Witness(model, trial)
    before = random_state()
    backward.listen(witness)
    try:
        with quiet(quieted), _watching_modules(model, trial):
            callable_()
    finally:
        backward.unlisten(witness)
    trial.random = drew_random_numbers(before)
    for name, parameter in model.named_parameters():
        trial.gradients[name] = None if parameter.grad is None else _dense(parameter.grad)
    trial.dtypes |= {gradient.dtype for gradient in trial.gradients.values() if gradient is not None}
    trial.sample = witness.sample()
    return trial


@contextmanager
def _watching_modules(model: nn.Module, trial: Trial) -> Iterator[None]:
    """Note which BatchNorm layers run in training mode, and the precision of autocast."""
    names = {id(module): name for name, module in model.named_modules()}
    device = next((p.device.type for p in model.parameters()), "cpu")

    def look(module: nn.Module, _inputs: Any) -> None:
        if id(module) not in names:
            return
        if isinstance(module, _BatchNorm) and module.training:
            trial.batchnorm.add(names[id(module)])
        if torch.is_autocast_enabled(device):
            trial.dtypes.add(torch.get_autocast_dtype(device))

    handle = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def quiet(modules: Sequence[nn.Module]) -> Iterator[None]:
    """`modules` in evaluation mode, whatever `train()` says meanwhile."""
    for module in modules:
        module.training = False
        object.__setattr__(module, "train", _staying(module))
    try:
        yield
    finally:
        for module in modules:
            object.__delattr__(module, "train")


def _staying(module: nn.Module) -> Callable[..., nn.Module]:
    return lambda *_, **__: module
