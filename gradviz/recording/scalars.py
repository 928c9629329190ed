"""Numbers beside the gradients: the loss, the learning rate, what the user logs. None of them waits for a device."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gradviz.schema import Scalar


def scalar_of(value: Any) -> Scalar | None:
    """A number now, or for a tensor on a device a callable that reads it later; None for anything else."""
    if type(value) is float or value is None:  # the common cases, in short
        return value
    if isinstance(value, Tensor):
        return _of_tensor(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _of_tensor(value: Tensor) -> Scalar | None:
    if value.numel() != 1 or value.is_complex():
        return None
    if value.is_cpu:
        return float(value.item())
    snapshot = value.detach().clone()  # the user may go on adding to it
    return lambda: float(snapshot)


def loss_of(tensors: Any, scale: Scalar | None) -> dict[str, Scalar]:
    """`loss`: the value that `backward()` was called on, without the AMP scale; the sum of a list.

    Nothing where it is not a scalar.
    """
    roots = [tensors] if isinstance(tensors, Tensor) else tensors
    if not isinstance(roots, list | tuple):
        return {}  # to walk through an iterator would be to use it up
    values = [value for root in roots if (value := scalar_of(root)) is not None]
    if not values or len(values) != len(roots):
        return {}
    whole = partial(_sum_over_scale, values, 1.0 if scale is None else scale)
    return {"loss": whole if any(map(callable, [*values, scale])) else whole()}


def _sum_over_scale(values: list[Scalar], scale: Scalar) -> float:
    return sum(map(read_scalar, values)) / read_scalar(scale)


def read_scalar(value: Scalar) -> float:
    """The number; one that lives on a device is waited for."""
    return float(value() if callable(value) else value)


def learning_rate(optimizer: Optimizer) -> dict[str, Scalar]:
    """`lr` of the first parameter group."""
    rate = optimizer.param_groups[0].get("lr") if optimizer.param_groups else None
    scalar = rate if type(rate) is float else scalar_of(rate)
    return {} if scalar is None else {"lr": scalar}
