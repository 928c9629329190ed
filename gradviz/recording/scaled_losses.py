"""The losses that a GradScaler has scaled, marked in the autograd graph itself.

A mark stays with its node, whatever is made of the loss afterwards, and keeps nothing alive.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradviz.schema import Scalar

MARK = "gradviz_scale"
FARTHEST = 64  # nodes from the root that are looked at


def mark(scaled: Any, scale: Scalar) -> bool:
    """`scaled`, a tensor or a list of them, was multiplied by `scale`. False where there is no graph to mark."""
    losses = scaled if isinstance(scaled, list | tuple) else [scaled]
    nodes: list[Any] = [
        loss.grad_fn for loss in losses if isinstance(loss, Tensor) and loss.grad_fn is not None
    ]
    for node in nodes:
        node.metadata[MARK] = scale
    return len(nodes) == len(losses)


def find(tensors: Any) -> Scalar | None:
    """The scale of the marked loss that is nearest to the roots `tensors`."""
    roots = [tensors] if isinstance(tensors, Tensor) else tensors
    if not isinstance(roots, list | tuple):
        return None  # to walk through an iterator would be to use it up
    nodes: list[Any] = [
        root.grad_fn for root in roots if isinstance(root, Tensor) and root.grad_fn is not None
    ]
    known = set(nodes)
    for node in nodes:  # which grows
        scale: Scalar | None = node.metadata.get(MARK)
        if scale is not None:
            return scale
        if len(nodes) < FARTHEST:
            below = [one for one, _ in node.next_functions if one is not None and one not in known]
            known.update(below)
            nodes += dict.fromkeys(below)
    return None
