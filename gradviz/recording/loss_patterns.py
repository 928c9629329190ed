"""Sums in a graph that mean one thing: label smoothing, soft targets, a penalty on the weights."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from gradviz.recording.loss_nodes import (
    Budget,
    Edge,
    NotUnderstoodError,
    constant_of,
    inputs,
    only_input,
    shape_of,
)


def smoothed(node: Any) -> Edge | None:
    """The hard part of a cross entropy with label smoothing, where the sum `node` is one.

    Its parts weigh 1 - s and s / classes of each class, so that an element weighs 1.
    """
    first, second = inputs(node)
    if not first[0].name() == second[0].name() == "MulBackward1":
        return None
    hard = only_input(first[0])
    if not hard[0].name().startswith("NllLoss"):
        return None
    logits = shape_of(only_input(hard[0]))
    classes = logits[1] if len(logits) > 1 else logits[0]
    whole = first[0]._saved_other + classes * second[0]._saved_other
    same = _log_softmax(hard[0]) is _log_softmax(second[0])
    return hard if same and math.isclose(whole, 1, rel_tol=1e-6) else None


def _log_softmax(node: Any) -> Any:
    for _ in range(9):
        if node.name() == "LogSoftmaxBackward0":
            return node
        node = only_input(node)[0]
    raise NotUnderstoodError


def soft_target_below(edge: Edge) -> Any:
    """The log softmax whose entries are multiplied as they are, by a probability of each class."""
    while edge[0].name() in ("NegBackward0", "AddBackward0", "SubBackward0") and len(inputs(edge[0])) == 1:
        edge = only_input(edge[0])
    return edge[0] if edge[0].name() == "LogSoftmaxBackward0" else None


def is_penalty(edge: Edge, budget: Budget) -> bool:
    """Whether this term is made of parameters alone, without any sample: weight decay written by hand."""
    while (name := edge[0].name()) != _LEAF:
        budget.spend()
        below = inputs(edge[0])
        if name in _SUMS and len(below) == 2:
            return is_penalty(below[0], budget) and is_penalty(below[1], budget)
        if len(below) != 1 or not _keeps_to_weights(edge[0], below[0]):
            return False
        edge = below[0]
    return True


def _keeps_to_weights(node: Any, below: Edge) -> bool:
    """Whether `node` brings in plain numbers at most: anything larger may be a sample."""
    name = node.name()
    if name.startswith(_PRODUCTS):
        constant = constant_of(node)[1]
        return not isinstance(constant, Tensor) or constant.numel() == 1
    return name.startswith(_SIZES) or (name in _SUMS and math.prod(shape_of(below)) == 1)


_LEAF = "torch::autograd::AccumulateGrad"
_SUMS = ("AddBackward0", "SubBackward0")
_PRODUCTS = ("MulBackward", "DivBackward")
_SIZES = ("Pow", "Abs", "Sum", "Mean", "Norm", "LinalgVectorNorm", "Sqrt", "View", "ToCopy")
