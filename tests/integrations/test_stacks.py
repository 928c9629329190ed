"""STACKS.md: its code runs as it stands there, and records what it says."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
import test_lightning
import torch
from stories import CLEARED_AFTERWARDS, RIGHT, make_loader, make_model, story

TEXT = (Path(__file__).parents[2] / "STACKS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

pytestmark = test_lightning.pytestmark


def user_names(library: str, loaded: ModuleType) -> dict[str, object]:
    """What a reader of STACKS.md brings along."""
    model = make_model()
    if library == "transformers":
        return {
            "language_model": loaded.make_model(),
            "texts": loaded.make_samples(),
            "settings": loaded.SETTINGS,
        }
    if library == "lightning":
        return {"lightning_module": loaded.Automatic(), "batches": make_loader(), "options": loaded.SETTINGS}
    return {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "criterion": torch.nn.CrossEntropyLoss(),
        "loader": make_loader(),
    }


@pytest.mark.parametrize(
    ("library", "told"),
    [("accelerate", CLEARED_AFTERWARDS), ("transformers", CLEARED_AFTERWARDS), ("lightning", f"{RIGHT} r3")],
)
def test_code_of_the_integrations(
    request: pytest.FixtureRequest, library: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    (block,) = [block for block in BLOCKS if f"from {library}" in block]
    names = user_names(library, request.getfixturevalue(library))
    exec(compile(block, "STACKS.md", "exec"), names)  # noqa: S102 - our own document
    (run,) = [path for path in (tmp_path / "gradviz_runs").iterdir() if path.is_dir()]
    assert story(run) == told


def test_every_row_has_as_many_cells_as_the_head() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {8}
    assert len(rows) > 15
