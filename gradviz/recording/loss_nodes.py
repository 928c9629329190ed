"""Reading single nodes of an autograd graph: what was saved, what flows in, numbers that may live on a device.

Nothing here waits for a device or runs a user's code: a saved tensor with an unpack hook (a checkpoint
would compute its forward pass again) is left alone, and the graph is then not understood.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradviz.schema import Scalar

Edge = tuple[Any, int]  # a node, and which of its outputs
Shape = tuple[int, ...]

VIEWS = "View UnsafeView ReshapeAlias Squeeze Unsqueeze Alias Clone ToCopy LiftFresh"
"""Nodes that hand on the same numbers in the same order."""


class NotUnderstoodError(Exception):
    """This graph does not tell the weight of the loss."""


class Budget:
    """How many nodes may still be visited: a graph that is larger is not understood."""

    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def spend(self) -> None:
        """One more node."""
        self._left -= 1
        if self._left < 0:
            raise NotUnderstoodError


def inputs(node: Any) -> list[Edge]:
    """The inputs of `node` that need a gradient."""
    return [edge for edge in node.next_functions if edge[0] is not None]


def only_input(node: Any) -> Edge:
    """The one input of `node` that needs a gradient."""
    (edge,) = inputs(node)
    return edge


def shape_of(edge: Edge) -> Shape:
    """Shape of the tensor behind `edge`."""
    node, index = edge
    return tuple(node._input_metadata[index].shape)


def saved(node: Any, name: str) -> Any:
    """What `node` saved as `name`: a tensor or None."""
    if getattr(node, f"_raw_saved_{name}").unpack_hook is not None:
        raise NotUnderstoodError
    tensor = getattr(node, f"_saved_{name}")
    if tensor is not None and type(tensor) not in (Tensor, torch.nn.Parameter):
        raise NotUnderstoodError  # distributed, fake, ...: looking inside may communicate
    return tensor


def signed(number: int) -> int:
    """Autograd shows negative 64-bit numbers as large ones."""
    return number - 2**64 if number >= 2**63 else number


def constant_of(node: Any) -> tuple[Edge, Any]:
    """Of a product or quotient: the input that needs a gradient, and the tensor or number that does not."""
    if node.name().endswith("1"):  # of a tensor and a plain number
        return only_input(node), float(node._saved_other)
    first, second = node.next_functions
    if second[0] is None:
        return first, saved(node, "other")
    if first[0] is None and node.name().startswith("Mul"):
        return second, saved(node, "self")
    raise NotUnderstoodError


def number_of(value: Any) -> Scalar:
    """`value` as a number, or for a tensor on a device a callable that reads a snapshot of it later."""
    if not isinstance(value, Tensor):
        return float(value)
    if value.numel() != 1 or value.is_complex():
        raise NotUnderstoodError
    return float(value.item()) if at_hand(value) else _read_later(value.detach().clone())


def at_hand(tensor: Tensor) -> bool:
    """Whether reading `tensor` waits for nothing."""
    return tensor.is_cpu


def _read_later(snapshot: Tensor) -> Callable[[], float]:
    if snapshot.is_meta:
        raise NotUnderstoodError
    if snapshot.device.type != "cuda":
        return lambda: float(snapshot)
    if torch.cuda.is_current_stream_capturing():
        raise NotUnderstoodError  # a replayed graph would not come by here again
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(snapshot.device))

    def read() -> float:
        event.synchronize()  # the writer's thread waits, training does not
        return float(snapshot)

    return read


def computed(function: Callable[..., float], *numbers: Scalar) -> Scalar:
    """`function` of these numbers, called now, or later where one of them is read later."""
    for number in numbers:
        if callable(number):
            return lambda: function(*(number() if callable(number) else number for number in numbers))
    return function(*numbers)


def times(left: Scalar, right: Scalar) -> Scalar:
    """The product."""
    return computed(operator.mul, left, right)


def over(left: Scalar, right: Scalar) -> Scalar:
    """The quotient."""
    return computed(operator.truediv, left, right)
