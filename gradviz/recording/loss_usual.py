"""The commonest loss in one short look: a mean cross entropy, multiplied or divided by plain numbers.

`loss_of` and `loss_audit` would find the same. But this is asked at every micro-step, and next to a real
backward every function that is called is a cold one: written out in one piece it takes a third of the time.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gradviz.recording import loss_nodes
from gradviz.recording.loss_audit import audit
from gradviz.recording.scalars import loss_of
from gradviz.schema import Scalar

_nodes: Any = torch._C._functions
_DIV, _MUL, _NLL = (getattr(_nodes, f"{name}Backward0", None) for name in ("Div", "Mul", "NllLoss"))
_EXACT = {torch.float32: 2**24, torch.float64: 2**53}  # counts below it


def loss_scalars(tensors: Any, gradient: Any, amp_scale: Scalar | None) -> dict[str, Scalar]:
    """The columns of `events` that `loss_of` and `audit` find of what `backward` was called on."""
    if gradient is None and amp_scale is None:
        try:
            usual = mean_cross_entropy(tensors)
        except Exception:  # whatever a graph holds: training goes on
            usual = None
        if usual is not None:
            return usual
    return loss_of(tensors, amp_scale) | audit(tensors, gradient=gradient, amp_scale=amp_scale).scalars()


def mean_cross_entropy(loss: Any) -> dict[str, Scalar] | None:
    """`loss`, and weight, reduction and elements as a `LossAudit` has them; None where it is not that loss."""
    if type(loss) is not Tensor or loss._backward_hooks or loss.numel() != 1 or not loss_nodes.at_hand(loss):
        return None
    node: Any = loss.grad_fn
    factor = 1.0
    while (kind := type(node)) is _DIV or kind is _MUL:
        (below, _), (other, _) = node.next_functions
        if below is None or other is not None or node._raw_saved_other.unpack_hook:
            return None
        constant = node._saved_other
        if not loss_nodes.at_hand(constant):
            return None
        factor = factor * constant.item() if kind is _MUL else factor / constant.item()
        node = below
    if kind is not _NLL or node._saved_reduction != 1 or node._saved_weight is not None:
        return None
    if node._raw_saved_target.unpack_hook:  # hooks stand before all that a node saved, or before nothing
        return None
    total = node._saved_total_weight
    count = total.item() if loss_nodes.at_hand(total) else 0
    if not (0 < count < _EXACT.get(total.dtype, 0) and math.isfinite(factor)):
        return None
    weight = abs(factor / count)
    return {"loss": loss.item(), "loss_weight": weight, "loss_reduction": 1, "loss_elements": int(count)}
