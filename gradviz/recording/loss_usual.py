"""The commonest loss in one short look: a mean cross entropy, multiplied or divided by plain numbers.

`loss_audit` would find the same. But this is asked at every micro-step, and next to a real backward
each function that is called is a cold one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gradviz.recording.loss_nodes import number_of, saved

_EXACT_IN_FLOAT32 = 2**24
_FACTORS = ("MulBackward0", "DivBackward0")


def mean_cross_entropy(loss: Any) -> tuple[float, int] | None:
    """Weight of an element and number of elements, as a `LossAudit` has them; None: this is not that loss."""
    if type(loss) is not Tensor or loss._backward_hooks or loss.numel() != 1:
        return None
    node: Any = loss.grad_fn
    factor = 1.0
    while (name := type(node).__name__) in _FACTORS:
        (below, _), (other, _) = node.next_functions
        if below is None or other is not None:
            return None
        number = number_of(saved(node, "other"))
        if callable(number):
            return None
        factor *= number if name == "MulBackward0" else 1 / number
        node = below
    if name != "NllLossBackward0" or node._saved_reduction != 1 or node._raw_saved_target.unpack_hook:
        return None  # a hook stands before all that was saved, or before nothing
    total = node._saved_total_weight
    if node._saved_weight is not None or total.dtype not in (torch.float32, torch.float64):
        return None
    count = number_of(total)
    if callable(count) or not 0 < count < _EXACT_IN_FLOAT32 or not math.isfinite(factor):
        return None
    return abs(factor / count), round(count)
