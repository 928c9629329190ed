"""What an integration knows of a batch, and what it says where its library is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from gradviz.errors import MissingLibraryError


def missing(library: str, error: ImportError) -> MissingLibraryError:
    """The error of an integration whose library cannot be imported."""
    return MissingLibraryError(
        f"gradviz.integrations.{library} needs {library}, which cannot be imported ({error}). "
        f"Install it with `pip install {library}`, or call gradviz.watch in a loop of your own.",
        name=library,
    )


def sizes(batch: Any) -> dict[str, float | Tensor]:
    """`samples` of a batch, the length of its first tensor, and `tokens` where it has `input_ids`.

    Tokens are those that the `attention_mask` lets through. Empty where the batch tells nothing.
    """
    if isinstance(batch, Mapping) and isinstance(ids := batch.get("input_ids"), Tensor):
        mask = batch.get("attention_mask")
        return {"samples": len(ids), "tokens": mask.sum() if isinstance(mask, Tensor) else ids.numel()}
    first = next((tensor for tensor in _tensors(batch) if tensor.ndim), None)
    return {} if first is None else {"samples": len(first)}


def _tensors(batch: Any) -> Iterable[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping | list | tuple):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(part)
