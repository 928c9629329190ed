"""The node that made one number of a loss: how many elements it reduced, and what each of them weighs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, NamedTuple

import torch

from gradviz.recording.loss_nodes import (
    Budget,
    NotUnderstoodError,
    Shape,
    computed,
    inputs,
    number_of,
    only_input,
    over,
    saved,
    shape_of,
    signed,
    times,
)
from gradviz.recording.loss_walk import elements_below
from gradviz.schema import Scalar

Reduction = Literal["none", "mean", "sum"]

_EXACT_IN_FLOAT32 = 2**24


class Term(NamedTuple):
    """One reduced loss: its node, the weight of an element (with its sign), and how many elements count."""

    node: Any
    weight: Scalar
    reduction: Reduction
    elements: Scalar | None


class Factors(NamedTuple):
    """What a reduced loss was multiplied by: by the AMP scale's inverse, and by each of `parts`."""

    unscaling: Scalar = 1.0
    parts: tuple[Scalar, ...] = ()

    def with_(self, *parts: Scalar) -> Factors:
        """These and more."""
        return Factors(self.unscaling, (*self.parts, *parts))

    def product(self) -> Scalar:
        """All of it."""
        return reduce(times, self.parts, self.unscaling)

    def has(self, number: float) -> bool:
        """Whether one of the parts is `number`."""
        return any(
            not callable(part) and math.isclose(abs(part), number, rel_tol=1e-6) for part in self.parts
        )

    def are_one(self) -> bool:
        """Whether nothing was multiplied at all."""
        whole = self.product()
        return not callable(whole) and math.isclose(abs(whole), 1, rel_tol=1e-6)


def reduced(node: Any, factors: Factors, budget: Budget) -> Term:
    """The term whose reduction is `node`."""
    name = node.name()
    if name.startswith("NllLoss"):
        return _cross_entropy(node, factors)
    if name.startswith(_CRITERIA):
        return _criterion(node, factors)
    if name.startswith("Mean"):
        return _mean(node, factors, budget)
    if name.startswith("Sum"):
        return _sum(node, factors, budget)
    raise NotUnderstoodError


_CRITERIA = ("MseLoss", "SmoothL1Loss", "HuberLoss", "BinaryCrossEntropy", "SoftMarginLoss")


def _cross_entropy(node: Any, factors: Factors) -> Term:
    plain = saved(node, "weight") is None
    kept = _targets_of(node, plain)
    if node._saved_reduction == 1:
        return Term(node, over(factors.product(), kept), "mean", kept)
    if node._saved_reduction == 2 and plain:  # with class weights no one number is the weight of an element
        return Term(node, factors.product(), "sum", kept)
    raise NotUnderstoodError


def _targets_of(node: Any, plain: bool) -> Scalar:
    """How many targets are not ignored."""
    target = saved(node, "target")
    if plain and target.numel() < _EXACT_IN_FLOAT32:
        total = saved(node, "total_weight")
        if total.dtype in (torch.float32, torch.float64):
            return number_of(total)
    return number_of((target != signed(node._saved_ignore_index)).sum())


def _criterion(node: Any, factors: Factors) -> Term:
    if "Binary" in node.name() and saved(node, "weight") is not None:
        raise NotUnderstoodError
    shape = shape_of(inputs(node)[0])
    if node._saved_reduction == 1:
        return _average(node, factors, math.prod(shape), math.prod(shape))
    if node._saved_reduction == 2:
        return Term(node, factors.product(), "sum", _grains(shape, factors))
    raise NotUnderstoodError


def _mean(node: Any, factors: Factors, budget: Budget) -> Term:
    below = elements_below(only_input(node), budget, summed=False)
    factors = factors.with_(*below.factors)
    return _proven(_average(node, factors, below.entries, below.count()), below.proof())


def _proven(term: Term, proof: Scalar) -> Term:
    elements = None if term.elements is None else times(term.elements, proof)
    return term._replace(weight=times(term.weight, proof), elements=elements)


def _average(node: Any, factors: Factors, entries: int, elements: Scalar) -> Term:
    return Term(node, over(factors.product(), entries), "mean", elements)


def _sum(node: Any, factors: Factors, budget: Budget) -> Term:
    below = elements_below(only_input(node), budget, summed=True)
    factors = factors.with_(*below.factors)
    count = below.count()
    if below.classes > 1:
        count = over(count, below.classes)
    grains = math.prod(below.grain) if below.exact else _grains(below.grain, factors)
    elements = None if grains is None else times(count, grains / math.prod(below.grain))
    return _proven(Term(node, factors.product(), "sum", elements), below.proof())


def _grains(shape: Shape, factors: Factors) -> int | None:
    """How many elements a summed loss of this shape has: all its entries, or its rows?

    A sum over a batch of several outputs may be meant either way. What it was divided by tells;
    where nothing does, it is not known, and with it the loss's whole weight.
    """
    entries = math.prod(shape)
    rows = shape[0] if shape else 1
    if rows == entries or factors.has(1 / entries) or factors.are_one():
        return entries
    return rows if factors.has(1 / rows) else None


def agreed(terms: Sequence[Term]) -> Term:
    """Several losses added up: understood where they are one and the same, or where an element weighs alike in all.

    How many elements there are then remains open: two losses of the same samples, or of different ones?
    """
    first, *others = terms
    if not others:
        return first
    weights = [term.weight for term in terms]
    if all(other.node is first.node for other in others):
        return first._replace(weight=computed(lambda *known: sum(known), *weights))
    if any(other.reduction != first.reduction for other in others):
        raise NotUnderstoodError
    return Term(first.node, computed(_common, *weights), first.reduction, None)


def _common(first: float, *others: float) -> float:
    if not all(math.isclose(abs(other), abs(first), rel_tol=1e-6) for other in others):
        raise NotUnderstoodError
    return first
