"""The weight of the loss, read from the autograd graph before `backward()` consumes it.

Whether a loss is divided by the number of micro-steps cannot be told from gradients; the graph of the
loss still knows. It is followed from the root: products and quotients give the factor, the reduction its
elements. What is not understood is unknown, never guessed. No value is fetched from a device here, no
saved tensor is changed, and nothing raises.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradviz.recording.loss_nodes import (
    VIEWS,
    Budget,
    Edge,
    NotUnderstoodError,
    computed,
    constant_of,
    inputs,
    number_of,
    only_input,
    over,
    shape_of,
)
from gradviz.recording.loss_patterns import is_penalty, smoothed
from gradviz.recording.loss_reductions import Factors, Reduction, Term, agreed, reduced
from gradviz.schema import Scalar

_LARGEST_GRAPH = 256  # nodes; a penalty on each weight of a model has four a weight
_REDUCTIONS: tuple[Reduction, ...] = ("none", "mean", "sum")
_VIEWS = {f"{name}Backward{n}" for name in VIEWS.split() for n in range(6)}
_OF_ONE = {f"{name}Backward{n}" for name in ("Mean", "Sum", "Select") for n in range(2)}
_DDP_OUTPUTS = "_DDPSinkBackward"  # hands on what the model returned, where DDP looks for unused parameters
_PRODUCTS = {"MulBackward0", "MulBackward1", "DivBackward0", "DivBackward1"}
_ADDITIONS = {"AddBackward0", "AddBackward1", "SubBackward0", "SubBackward1", "RsubBackward1"}


class LossAudit(NamedTuple):
    """What one element of the loss weighs in this `backward()`, and how many elements there are.

    `weight` is what each element (target, row, pixel) was multiplied by, without the AMP scale: factor / count
    under a mean, the factor under a sum, so that weight x elements, added up over a window, is the
    window's whole weight. `elements` counts those that are neither ignored nor masked. Either may be a
    callable that waits for a device, for the writer's thread, and raises where it turns out to be
    unknown. None is unknown.
    """

    weight: Scalar | None = None
    reduction: Reduction | None = None
    elements: Scalar | None = None

    def scalars(self) -> dict[str, Scalar]:
        """The columns of `events` that are known: `loss_weight`, `loss_reduction`, `loss_elements`."""
        named: dict[str, Scalar] = {}
        if self.weight is not None:
            named["loss_weight"] = self.weight
        if self.reduction is not None:
            named["loss_reduction"] = _REDUCTIONS.index(self.reduction)
        if self.elements is not None:
            named["loss_elements"] = self.elements
        return named


UNKNOWN = LossAudit()


def audit(tensors: Any, *, gradient: Any = None, amp_scale: Scalar | None = None) -> LossAudit:
    """Audit what `torch.autograd.backward` was given: `tensors`, and `gradient` where it was given one.

    `amp_scale` is the factor that a GradScaler multiplied the loss by, if it did.
    """
    try:
        with torch.no_grad():
            return _audit(tensors, gradient, amp_scale)
    except Exception:  # whatever a graph holds: training goes on, and the weight is unknown
        return UNKNOWN


def _audit(tensors: Any, gradient: Any, amp_scale: Scalar | None) -> LossAudit:
    roots = (
        [tensors]
        if isinstance(tensors, Tensor)
        else list(tensors if isinstance(tensors, list | tuple) else ())
    )
    factors = Factors(1.0 if amp_scale is None else over(1.0, amp_scale))
    gradient = gradient[0] if isinstance(gradient, list | tuple) and len(gradient) == 1 else gradient
    if gradient is not None:
        if len(roots) != 1:
            return UNKNOWN
        factors = factors.with_(number_of(gradient))
    budget = Budget(_LARGEST_GRAPH)
    terms = [_term(_root(root), factors, budget) for root in roots]
    term = agreed(terms)
    return LossAudit(computed(_size, term.weight), term.reduction, _whole(term.elements))


def _root(loss: Tensor) -> Edge:
    if loss.numel() != 1 or loss._backward_hooks:  # a hook may change the gradient
        raise NotUnderstoodError
    return loss.grad_fn, loss.output_nr


def _size(weight: float) -> float:
    if not math.isfinite(weight):
        raise NotUnderstoodError
    return abs(weight)


def _whole(elements: Scalar | None) -> Scalar | None:
    return elements if elements is None or callable(elements) else round(elements)


def _term(edge: Edge, factors: Factors, budget: Budget) -> Term:
    """Follow one number down to its reduction."""
    while True:
        budget.spend()
        node = edge[0]
        name = node.name()
        if name in _PRODUCTS:
            edge, constant = constant_of(node)
            number = number_of(constant)
            factors = factors.with_(number if name.startswith("Mul") else over(1.0, number))
        elif name in _VIEWS or (name in _OF_ONE and math.prod(shape_of(only_input(node))) == 1):
            edge = only_input(node)
        elif name == _DDP_OUTPUTS:
            edge = node.next_functions[edge[1]]
        elif name == "NegBackward0":
            edge, factors = only_input(node), factors.with_(-1.0)
        elif name in _ADDITIONS and len(inputs(node)) == 1:
            edge = only_input(node)
            if name == "RsubBackward1" or node.next_functions[0][0] is None:
                factors = factors.with_(float(node._saved_alpha))
        elif name in _ADDITIONS:
            return _of_two(node, factors, budget)
        elif name in _OF_ONE and only_input(node)[0].name() == "StackBackward0":
            return _of_many(node, factors, budget)
        else:
            return reduced(node, factors, budget)


def _of_two(node: Any, factors: Factors, budget: Budget) -> Term:
    """A sum of two: a smoothed cross entropy, a loss with a penalty, or two losses."""
    if (hard := smoothed(node)) is not None:
        return _term(hard, factors, budget)
    first, second = inputs(node)
    second_factors = factors.with_(float(node._saved_alpha))
    penalties = is_penalty(first, budget), is_penalty(second, budget)
    if penalties == (False, True):
        return _term(first, factors, budget)
    if penalties == (True, False):
        return _term(second, second_factors, budget)
    return agreed([_term(first, factors, budget), _term(second, second_factors, budget)])


def _of_many(node: Any, factors: Factors, budget: Budget) -> Term:
    """The mean or the sum of stacked numbers."""
    stack = only_input(node)
    numbers = inputs(stack[0])
    if any(math.prod(shape_of(number)) != 1 for number in numbers):
        raise NotUnderstoodError
    if node.name().startswith("Mean"):
        factors = factors.with_(1 / math.prod(shape_of(stack)))
    return agreed([_term(number, factors, budget) for number in numbers])
