"""What compiled code calls of ours is called as it is, and not compiled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gradviz.recording.untraced import untraced


def test_it_is_the_function_where_nothing_is_compiled() -> None:
    @untraced
    def pair(*args: Any, **kwargs: Any) -> Any:
        """Both."""
        return args, kwargs

    assert pair(1, b=2) == ((1,), {"b": 2})
    assert pair.__doc__ == "Both."
    with pytest.raises(ZeroDivisionError):
        untraced(lambda: 1 / 0)()


def test_compiled_code_breaks_its_graph_there() -> None:
    torch._dynamo.reset()
    traced: list[str] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        traced.extend(node.name for node in graph.graph.nodes if node.op.startswith("call"))
        return graph.forward

    def deeper(x: Tensor) -> Tensor:
        return x.sin()

    @untraced
    def ours(x: Tensor) -> Tensor:
        return deeper(x).exp()

    @torch.compile(backend=backend)
    def theirs(x: Tensor) -> Tensor:
        return ours(x.cos()).tan()

    x = torch.rand(3)
    for _ in range(2):
        torch.testing.assert_close(theirs(x), x.cos().sin().exp().tan())
    assert sorted(traced) == ["cos", "tan"]
