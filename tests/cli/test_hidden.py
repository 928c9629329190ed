"""What a set-up hides from the recorder is said in words, in the summary as in the dashboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gradviz.cli.summary import hidden, print_summary
from gradviz.texts import LANGUAGES, text

SAMPLE = Path(__file__).parents[2] / "sample_runs" / "mixed-precision-clipped"
CODES = ("fsdp-micro-gradient", "fsdp-accumulated-gradient", "ddp-average-of-micro-gradients")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that says of itself what FSDP2 hides."""
    path = Path(shutil.copytree(SAMPLE, tmp_path / "runs" / "sharded"))
    manifest = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(manifest | {"not_visible": [*CODES[:1], "of-a-newer-version"]}))
    return path


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_sentence(code: str, language: str) -> None:
    assert len(text(f"hidden.{code}", language)) > 20


def test_the_summary_says_it_and_counts_refused_updates(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(run, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "not visible under FSDP" in shown
    assert "not visible: of-a-newer-version" in shown
    assert "skipped" in shown
    print_summary(run, as_json=True)
    windows = json.loads(capsys.readouterr().out)["windows"]
    assert windows["skipped"] > 0
    assert windows["consumed"] + windows["skipped"] == windows["observed"]


def test_an_unknown_code_stands_for_itself() -> None:
    assert hidden("x\n") == "not visible: x\\n"
