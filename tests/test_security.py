"""What a run from a stranger must not be able to do, read off the source; and what keeps old holes out."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READER = [
    path
    for room in ("store", "analysis", "diagnostics", "figures", "reporting", "texts", "notebook")
    for path in sorted((ROOT / "gradviz" / room).rglob("*.py"))
]
APP = sorted((ROOT / "app").rglob("*.py"))

RUNS_WHAT_IT_READS = {"eval", "exec", "compile", "__import__", "allow_pickle", "shell"}
RUNS_WHAT_IT_IS_GIVEN = {"query", "eval", "read_pickle", "to_pickle", "system", "popen", "import_module"}
UNPICKLES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch", "subprocess", "runpy"}
STARTS_OURSELVES = {
    "diagnostics/apart.py",
    "notebook/serving.py",
    "notebook/tethered.py",
}  # arguments as a list
CHANGES_FILES = {"unlink", "rmdir", "rmtree", "rename", "write_text", "write_bytes", "mkdir", "symlink_to"}
MAY_CHANGE_FILES = {
    "reporting/page.py": {"write_text"},
    "analysis/tables.py": {"rename"},
}  # a report; a column


def name_of(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parts[1:])


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.partition(".")[0] for name in names}
    return found


def attributes(path: Path) -> set[str]:
    return {node.attr for node in nodes(path) if isinstance(node, ast.Attribute)}


def runs_what_it_reads(path: Path) -> set[str]:
    """Names in a file by which it could run, unpickle or start what a run's folder holds."""
    names = {node.id for node in nodes(path) if isinstance(node, ast.Name)}
    arguments = {node.arg for node in nodes(path) if isinstance(node, ast.keyword) and node.arg}
    known = {"subprocess", "runpy"} if name_of(path) in STARTS_OURSELVES else set()
    return (
        ((names | arguments) & RUNS_WHAT_IT_READS)
        | (attributes(path) & RUNS_WHAT_IT_IS_GIVEN)
        | ((imported(path) & UNPICKLES) - known)
    )


def test_a_reader_runs_nothing_that_it_reads() -> None:
    found = {name_of(path): runs_what_it_reads(path) for path in READER}
    assert {name: words for name, words in found.items() if words} == {}
    assert len(found) > 100


def test_a_viewer_changes_no_file() -> None:
    viewers = [path for path in [*READER, *APP] if path.parent.name != "store"]
    found = {
        name_of(path): (attributes(path) & CHANGES_FILES) - MAY_CHANGE_FILES.get(name_of(path), set())
        for path in viewers
    }
    assert {name: words for name, words in found.items() if words} == {}
    assert len(viewers) > 100


@pytest.mark.parametrize(
    ("library", "floor", "hole"),
    [("streamlit", (1, 54), "CVE-2026-33682"), ("pyarrow", (17, 0), "CVE-2023-47248")],
)
def test_floors_keep_known_holes_out(library: str, floor: tuple[int, int], hole: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (line for line in project["dependencies"] if line.startswith(library))
    major, _, minor = re.fullmatch(rf"{library}>=([\d.]+)", wanted)[1].partition(".")  # type: ignore[index]
    assert (int(major), int(minor or 0)) >= floor
    assert hole in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("said", ["no authentication", "127.0.0.1 only", "ssh -N -L", "put a proxy"])
def test_the_security_page_says_how_to_be_reached(said: str) -> None:
    assert said in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
