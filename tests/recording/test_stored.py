"""What a run folder holds of the machine and of the program: nothing that was not named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import gradviz

MANIFEST = {
    "format", "version", "name", "created", "accumulation_steps", "every", "model_class", "torch_version",
    "flush_seconds", "forward_order", "layers", "optimizers", "training_modules", "not_visible", "crc32",
}  # fmt: skip


def test_no_environment_no_arguments_no_code_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hush-environment")
    monkeypatch.setattr(sys, "argv", ["train.py", "--password=hush-argument"])
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.watch(model, optimizer, run_dir=tmp_path / "runs", distributions=True) as recorder:
        hush_variable = torch.full((4, 3), 0.123456789)
        model(hush_variable).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    run = recorder.run_path
    assert run is not None
    files = [path for path in run.rglob("*") if path.is_file()]
    said = [path.read_bytes().decode("utf-8", "replace") for path in files]
    said += [
        str(pq.read_table(path, partitioning=None).to_pydict()) for path in files if path.suffix == ".parquet"
    ]
    assert len(said) > 6
    for word in (
        "hush-environment",
        "hush-argument",
        "hush_variable",
        "train.py",
        "0.1234567",
        str(tmp_path),
    ):
        assert not any(word in text for text in said), word
    assert set(json.loads((run / "run.json").read_text())) <= MANIFEST
