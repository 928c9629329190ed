"""Everything that running a model may change, taken down and put back bit by bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ModelState:
    """Parameters, gradients, buffers, training mode and random numbers as they are now.

    Keeps one copy of parameters and buffers. `restore` puts back the very objects, and their values
    where they have changed.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = [(m, m.training, dict(m._parameters), dict(m._buffers)) for m in model.modules()]
        self._parameters = [(p, p.data, p.requires_grad, p.grad) for p in model.parameters()]
        self._values = [(data, data.clone()) for _, data, _, _ in self._parameters]
        self._values += [(buffer.data, buffer.detach().clone()) for buffer in model.buffers()]
        self._random = random_state()

    def restore(self) -> None:
        """Put everything back."""
        for module, training, parameters, buffers in self._modules:
            module.training = training
            module._parameters.update(parameters)
            module._buffers.update(buffers)
        for parameter, values, trainable, gradient in self._parameters:
            if parameter.data_ptr() != values.data_ptr():
                parameter.data = values
            parameter.requires_grad_(trainable)
            parameter.grad = gradient
        with torch.no_grad():
            for values, before in self._values:
                if not same_bits(values, before):
                    values.copy_(before)
        set_random_state(self._random)


def same_bits(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors of one shape and type hold the same bits: NaN equals itself, 0 is not -0."""
    if left.dtype.is_floating_point or left.dtype.is_complex:
        left, right = left.reshape(-1).view(torch.uint8), right.reshape(-1).view(torch.uint8)
    return torch.equal(left, right)


def random_state() -> dict[str, Any]:
    """The state of every generator that a training commonly draws from."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set the generators back to `state`."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    for device, own in enumerate(state["cuda"]):
        torch.cuda.set_rng_state(own, device)


def drew_random_numbers(before: dict[str, Any]) -> bool:
    """Whether a generator has moved on since `before`."""
    now = random_state()
    moved_numpy = any(not np.array_equal(a, b) for a, b in zip(before["numpy"], now["numpy"], strict=True))
    moved_torch = not torch.equal(before["torch"], now["torch"])
    moved_cuda = any(not torch.equal(a, b) for a, b in zip(before["cuda"], now["cuda"], strict=False))
    return before["python"] != now["python"] or moved_numpy or moved_torch or moved_cuda
