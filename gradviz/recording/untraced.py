"""Functions that compiled code may call and must not trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for code that may be compiled: the graph breaks there, and nothing under it is traced.

    Where nothing is being compiled it is called at once. `torch._disable_dynamo` alone would call eight
    functions more, each a cold one next to a real backward: ten times what the question costs.
    """
    disabled: Callable[..., Any] = torch._disable_dynamo(function)  # type: ignore[attr-defined]
    try:
        from torch._C._dynamo.eval_frame import get_eval_frame_callback
        from torch._dynamo.decorators import skip
    except Exception:  # an older torch, or one without a compiler
        return disabled

    @wraps(function, updated=())  # what stands on `function` may be marks of the compiler's
    def call(*args: Any, **kwargs: Any) -> Any:
        if get_eval_frame_callback() is None:
            return function(*args, **kwargs)
        return disabled(*args, **kwargs)

    marked: Callable[..., Any] = skip(call)
    return marked
