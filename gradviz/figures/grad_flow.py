"""The drop-in for the well-known `plot_grad_flow(named_parameters)` snippet, without its defects.

Room rule: plotly only. Gradients are measured with the methods of the tensors themselves, so torch is never
imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradviz.analysis.layer_flow import LayerFlow
from gradviz.errors import WatchError
from gradviz.figures.layer_flow import plot_layer_flow


def plot_grad_flow(
    named_parameters: Iterable[tuple[str, Any]], *, skip_bias: bool = True, log: bool = True
) -> go.Figure:
    """Mean and maximum |gradient| of every parameter as it is now; call it after `loss.backward()`.

    `named_parameters` is `model.named_parameters()` (or the model itself). `skip_bias` hides parameters whose
    own name is `bias`, whatever the modules above them are called. Each call gives a new figure.

    *How to read it*: as `plot_layer_flow`. Layers whose gradient is `None` have a line of their own.

    *Requires*: gradients in `.grad`, of any dtype, layout and device. Raises `WatchError` for anything else.
    """
    measured = [
        (name, *_measure(parameter.grad))
        for name, parameter in _pairs(named_parameters)
        if parameter.requires_grad and not (skip_bias and name.rpartition(".")[2] == "bias")
    ]
    count = len(measured)
    flow = LayerFlow(
        layers=tuple(name for name, *_ in measured),
        statistic="mean_abs",
        accumulated=np.array([mean for _, mean, _, _ in measured], dtype=np.float64),
        micro=np.full(count, np.nan),
        maximum=np.array([largest for _, _, largest, _ in measured], dtype=np.float64),
        nonfinite=np.array([wrong for *_, wrong in measured], dtype=np.int64),
        micro_nonfinite=np.full(count, -1),
        recorded=np.ones(count, dtype=np.bool_),
    )
    return plot_layer_flow(flow, log=log)


def _pairs(named_parameters: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    of_model = getattr(named_parameters, "named_parameters", None)
    source = of_model() if callable(of_model) else named_parameters
    try:
        pairs = [(name, parameter) for name, parameter in source]
        if not all(_is_named_parameter(name, parameter) for name, parameter in pairs):
            raise TypeError("not a name, or not a parameter")
    except (TypeError, ValueError) as error:
        kind = type(named_parameters).__name__
        raise WatchError(
            f"plot_grad_flow was given {kind}, which yields no (name, parameter) pairs. "
            "Pass model.named_parameters()."
        ) from error
    return pairs


def _is_named_parameter(name: object, parameter: object) -> bool:
    return isinstance(name, str) and hasattr(parameter, "grad") and hasattr(parameter, "requires_grad")


def _measure(gradient: Any) -> tuple[float, float, int]:
    """Mean |x|, max |x| and the count of non-finite elements; (NaN, NaN, -1) for no gradient at all."""
    if gradient is None:
        return np.nan, np.nan, -1
    sizes = gradient.detach()
    numel = sizes.numel()
    if sizes.is_sparse:
        sizes = sizes.coalesce().values()
    if sizes.numel() == 0:
        return 0.0, 0.0, 0
    sizes = sizes.abs().double()
    wrong = int((~sizes.isfinite()).sum().item())
    return float(sizes.sum().item()) / numel, float(sizes.max().item()), wrong
