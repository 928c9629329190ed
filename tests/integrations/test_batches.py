"""What an integration says of a batch, and of a library that is not there."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import torch

from gradviz.errors import GradvizError
from gradviz.integrations.batches import sizes

IDS = torch.zeros(3, 4, dtype=torch.long)
MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("batch", "known"),
    [
        (torch.zeros(7, 2), {"samples": 7}),
        ([torch.zeros(5, 2), torch.zeros(5)], {"samples": 5}),
        ((torch.tensor(1.0), {"image": torch.zeros(2, 3)}), {"samples": 2}),
        ({"input_ids": IDS, "attention_mask": MASK}, {"samples": 3, "tokens": 8}),
        ({"input_ids": IDS, "attention_mask": None}, {"samples": 3, "tokens": 12}),
        ({"input_ids": [1, 2]}, {}),
        ("text", {}),
        (torch.tensor(1.0), {}),
    ],
)
def test_sizes_of_batches(batch: Any, known: dict[str, int]) -> None:
    assert {name: float(value) for name, value in sizes(batch).items()} == known


@pytest.mark.parametrize("library", ["accelerate", "transformers", "lightning"])
def test_a_library_that_is_absent_is_said_in_a_sentence(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"gradviz.integrations.{library}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    for hidden in (library, f"{library}.pytorch", "accelerate.state", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(
        GradvizError, match=f"needs {library}, which cannot .* `pip install {library}`"
    ) as caught:
        importlib.import_module(name)
    assert isinstance(caught.value, ImportError), "so that `except ImportError` around the import holds"
    assert caught.value.name == library
