"""The notebooks of examples/ run from the first cell to the last, and show what they say they show."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def opened(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    notebook = opened(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


@pytest.mark.soak  # a kernel, two trainings and a dashboard
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # jupyter_client leaves sockets to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as above
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jupyter_client and zmq, not ours
def test_the_digits_are_learned_diagnosed_drawn_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADVIZ_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    notebook = opened(ROOT / "examples" / "accumulation_on_digits.ipynb")
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in said if output.output_type == "stream")
    assert "digits-no-reset" in printed
    healthy, broken = printed.split("digits-no-reset\n")
    assert "error not-reset" in broken
    assert "error" not in healthy
    assert "warning" not in healthy
    pictures = [one for one in said if "application/vnd.plotly.v1+json" in one.get("data", {})]
    assert len(pictures) == 3
    frames = [output.data["text/html"] for output in said if "<iframe" in str(output.get("data", ""))]
    address = urlsplit(frames[0].partition('src="')[2].partition('"')[0])
    with pytest.raises(ConnectionRefusedError):  # the kernel is gone, and its dashboard with it
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5)
