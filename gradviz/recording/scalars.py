"""Numbers beside the gradients: the loss, the learning rate, what the user logs. None of them waits for a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gradviz.schema import Scalar


def scalar_of(value: Any) -> Scalar | None:
    """A number now, or for a tensor on a device a callable that reads it later; None for anything else."""
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


def loss_of(tensors: Any) -> dict[str, Scalar]:
    """`loss`: the value that `backward()` was called on; the sum of a list; nothing where it is not a scalar."""
    if isinstance(tensors, Tensor):
        value = _of_tensor(tensors)
        return {} if value is None else {"loss": value}
    if not isinstance(tensors, list | tuple):
        return {}  # to walk through an iterator would be to use it up
    values = [scalar_of(root) for root in tensors]
    numbers = [value for value in values if isinstance(value, float)]
    return {"loss": sum(numbers)} if numbers and len(numbers) == len(values) else {}


def learning_rate(optimizer: Optimizer) -> dict[str, Scalar]:
    """`lr` of the first parameter group."""
    rate = scalar_of(optimizer.param_groups[0].get("lr")) if optimizer.param_groups else None
    return {} if rate is None else {"lr": rate}


def loss_scale(scaler: Any) -> Callable[[], dict[str, Scalar]]:
    """A reader of `amp_scale`, the factor of a GradScaler at this moment; of nothing where there is none."""

    def read() -> dict[str, Scalar]:
        scale = scalar_of(getattr(scaler, "_scale", None))  # get_scale() would wait for the device
        return {} if scale is None else {"amp_scale": scale}

    return read if scaler is not None else dict
