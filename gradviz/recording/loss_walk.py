"""From the reduction of a loss down to where the loss itself begins, node by node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradviz.recording.loss_elements import Elements
from gradviz.recording.loss_nodes import (
    VIEWS,
    Budget,
    Edge,
    NotUnderstoodError,
    constant_of,
    inputs,
    number_of,
    only_input,
    over,
    saved,
    shape_of,
    signed,
)
from gradviz.recording.loss_patterns import smoothed, soft_target_below

_LARGEST_SOFT_TARGET = 2**20  # elements; its rows are added up, which takes a read of it all

Move = Callable[[Elements, Any], "Edge | None"]


def elements_below(edge: Edge, budget: Budget, *, summed: bool) -> Elements:
    """Walk down from the reduction's input to where the loss itself begins."""
    shape = shape_of(edge)
    found = Elements(shape, math.prod(shape), shape, summed=summed)
    below: Edge | None = edge
    while below is not None:
        budget.spend()
        found.shape = shape_of(below)
        below = _next(found, below[0])
    return found


def _next(found: Elements, node: Any) -> Edge | None:
    name = node.name()
    if name in _PASSED:
        return only_input(node)
    if name in _BEGINNINGS:
        _begin(node)
        return None
    if name not in _MOVES:
        raise NotUnderstoodError
    return _MOVES[name](found, node)


def _begin(node: Any) -> None:
    """Here the loss itself begins: what is below is not linear, or is the model."""
    if getattr(node, "_saved_exponent", 2) == 1 or getattr(node, "_saved_reduction", 0) != 0:
        raise NotUnderstoodError
    if node.name().startswith("Binary") and saved(node, "weight") is not None:
        raise NotUnderstoodError


def _turn(found: Elements, node: Any) -> Edge:
    found.ordered = False
    return only_input(node)


def _negate(found: Elements, node: Any) -> Edge:
    found.factors.append(-1.0)
    return only_input(node)


def _select(found: Elements, node: Any) -> Edge:
    found.selected = True
    return only_input(node)


def _scale(found: Elements, node: Any) -> Edge:
    edge, constant = constant_of(node)
    if math.prod(shape_of(edge)) != math.prod(found.shape):
        raise NotUnderstoodError  # something smaller was spread out
    if not isinstance(constant, Tensor) or constant.numel() == 1:
        number = number_of(constant)
        found.factors.append(number if node.name().startswith("Mul") else over(1.0, number))
    elif node.name().startswith("Div") or constant.numel() != math.prod(found.shape):
        raise NotUnderstoodError
    elif (softmax := soft_target_below(edge)) is not None:
        _expect(found, constant, signed(softmax._saved_dim))
    else:
        is_mask = None if constant.dtype is torch.bool else ((constant == 0) | (constant == 1)).all()
        found.keep(constant != 0, provided=is_mask)
    return edge


def _expect(found: Elements, target: Tensor, dim: int) -> None:
    """An expectation over classes: one element a row, provided that each row of `target` adds up to 1."""
    if found.alive is not None or found.selected or target.numel() > _LARGEST_SOFT_TARGET:
        raise NotUnderstoodError
    found.require(((target.sum(dim) - 1).abs() <= 1e-3).all())
    if not found.rows:
        found.classes = target.shape[dim]
        found.grain = tuple(size for d, size in enumerate(target.shape) if d != dim % target.dim())


def _shift(found: Elements, node: Any) -> Edge:
    if len(inputs(node)) == 2:
        hard = smoothed(node)
        if hard is None:
            raise NotUnderstoodError
        return hard
    edge = only_input(node)
    if math.prod(shape_of(edge)) != math.prod(found.shape):
        raise NotUnderstoodError
    if node.next_functions[0][0] is None or node.name().startswith("Rsub"):
        found.factors.append(float(node._saved_alpha))
    return edge


def _blank(found: Elements, node: Any) -> Edge:
    found.keep(~saved(node, "mask"))
    return only_input(node)


def _choose(found: Elements, node: Any) -> Edge:
    condition = saved(node, "condition")
    edge = only_input(node)
    found.keep(condition if node.next_functions[0][0] is not None else ~condition)
    return edge


def _mean(found: Elements, node: Any) -> Edge:
    edge = only_input(node)
    if not found.rows:
        size = math.prod(shape_of(edge)) // math.prod(found.shape)
        found.factors.append(1 / size)
        found.repeats *= size
        found.ordered = False
    return edge


def _sum(found: Elements, node: Any) -> Edge:
    edge = only_input(node)
    if found.summed and found.alive is None and found.repeats == 1 and not found.selected:
        found.grain = shape_of(edge)  # a sum of sums is one sum
        found.entries = math.prod(found.grain)
    else:
        found.rows = found.exact = True
    return edge


def _targets(found: Elements, node: Any) -> None:
    """Unreduced cross entropy: targets that are ignored have no weight."""
    if node._saved_reduction != 0 or saved(node, "weight") is not None:
        raise NotUnderstoodError
    if found.rows:
        return
    kept = (saved(node, "target") != signed(node._saved_ignore_index)).reshape(-1)
    if found.selected:
        found.require(kept.all())
    else:
        found.keep(kept)
    found.exact = True


_TURNS = "Permute Transpose T Mt"
_CHOICES = "Index Select Slice MaskedSelect Gather IndexSelect Take Diagonal"
_CRITERIA = "MseLoss SmoothL1Loss HuberLoss BinaryCrossEntropy BinaryCrossEntropyWithLogits SoftMarginLoss"
_NOT_LINEAR = (
    "Abs Exp Log Log1P Sqrt ClampMin Clamp Relu LogSoftmax Softmax LogSigmoid Softplus Sigmoid Tanh Norm "
    "LinalgVectorNorm Logsumexp Addmm Mm Mv Bmm Baddbmm Convolution"
)


def _named(names: str) -> set[str]:
    """The nodes of these operations, every overload of them."""
    return {f"{name}Backward{overload}" for name in names.split() for overload in range(6)}


_PASSED = _named(VIEWS)
_BEGINNINGS = _named(f"{_NOT_LINEAR} {_CRITERIA}") | {"PowBackward0", "torch::autograd::AccumulateGrad"}
_ROUNDING = {"DivBackward2", "DivBackward3"}
_MOVES: dict[str, Move] = {
    **dict.fromkeys(_named(_TURNS), _turn),
    **dict.fromkeys(_named(_CHOICES), _select),
    **dict.fromkeys(_named("Mul Div") - _ROUNDING, _scale),
    **dict.fromkeys(_named("Add Sub") | {"RsubBackward1"}, _shift),
    **dict.fromkeys(_named("Neg"), _negate),
    **dict.fromkeys(_named("MaskedFill"), _blank),
    **dict.fromkeys(_named("Where"), _choose),
    **dict.fromkeys(_named("Mean"), _mean),
    **dict.fromkeys(_named("Sum"), _sum),
    **dict.fromkeys(_named("NllLoss NllLoss2D"), _targets),
}
