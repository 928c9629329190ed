"""The rooms and their arrows, as STYLE of this project has them: read off the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import gradviz

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gradviz"
APP = ROOT / "app"

# room -> the heavy libraries that it may import; every other library of this table is closed to it
LIBRARIES: dict[str, set[str]] = {
    "front": set(),
    "shared": {"numpy"},
    "recording": {"numpy", "torch", "numba"},
    "integrations": {"torch", "accelerate", "transformers", "lightning", "pytorch_lightning"},
    "store": {"numpy", "pyarrow", "pandas"},
    "analysis": {"numpy", "pandas"},
    "diagnostics": {"numpy", "pandas"},
    "texts": set(),
    "figures": {"numpy", "plotly"},
    "reporting": {"numpy", "pandas", "plotly"},
    "cli": {"typer", "rich"},
    "notebook": set(),
    "app": {"streamlit"},
}
HEAVY = set.union(*LIBRARIES.values())

# room -> the rooms that it may read from; the shared words (schema, errors, __init__) are open to all
ARROWS: dict[str, set[str]] = {
    "front": {
        "recording",
        "store",
        "analysis",
        "diagnostics",
        "figures",
        "notebook",
    },  # names only, loaded when used
    "shared": set(),
    "recording": {"store", "texts", "diagnostics"},  # its findings, loaded when asked for; a report in words
    "integrations": {"recording"},
    "store": set(),
    "analysis": {"store"},
    "diagnostics": {"store", "analysis", "texts"},
    "texts": set(),
    "figures": {"analysis", "texts"},
    "reporting": {"store", "analysis", "diagnostics", "figures", "texts"},
    "cli": {"store", "analysis", "diagnostics", "figures", "texts", "reporting"},
    "notebook": {"store", "reporting", "cli"},  # starts the dashboard as the command line does
    "app": {"store", "analysis", "diagnostics", "figures", "texts"},
}

FILES = sorted([*PACKAGE.rglob("*.py"), *APP.rglob("*.py")])


def room(path: Path) -> str:
    """The room of a file: `front` for the package's own door, `shared` for the files beside it."""
    parts = path.relative_to(ROOT).parts
    if parts == ("gradviz", "__init__.py"):
        return "front"
    if parts[0] == "app":
        return "app"
    return parts[1] if len(parts) > 2 else "shared"


def module_name(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(APP if path.is_relative_to(APP) else ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> frozenset[str]:
    """Every dotted name that a file imports, anywhere in it, type-only imports included."""
    return frozenset(names_in(parsed(path)))


def type_only(path: Path) -> set[str]:
    """The names that a file imports under `if TYPE_CHECKING:`."""
    blocks = [
        n for n in ast.walk(parsed(path)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
    ]
    return {name for block in blocks for name in names_in(block)}


def names_in(tree: ast.AST) -> Iterator[str]:
    """The dotted names of the imports below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken(found: dict[Path, object]) -> dict[str, object]:
    """What was found, by file, where anything was."""
    return {str(path.relative_to(ROOT)): what for path, what in found.items() if what}


def test_every_room_is_known() -> None:
    assert {room(path) for path in FILES} <= set(LIBRARIES)


def test_a_room_has_its_own_heavy_library_and_no_other() -> None:
    used = {path: {name.split(".")[0] for name in imported(path) - type_only(path)} & HEAVY for path in FILES}
    assert broken({path: names - LIBRARIES[room(path)] for path, names in used.items()}) == {}


def test_arrows_point_from_left_to_right() -> None:
    read = {
        path: {name.split(".")[1] for name in imported(path) if name.startswith("gradviz.")} & set(LIBRARIES)
        for path in FILES
    }
    against = {path: rooms - {room(path)} - ARROWS[room(path)] for path, rooms in read.items()}
    assert broken(against) == {}


def test_arrows_themselves_have_no_cycle() -> None:
    assert cycle_in(ARROWS) is None


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {module_name(path): path for path in FILES if path.name != "__init__.py"}
    graph = {name: {other for other in imported(path) if other in names} for name, path in names.items()}
    assert cycle_in(graph) is None


def cycle_in(graph: dict[str, set[str]]) -> list[str] | None:
    """One cycle of a graph, as the names along it; None where there is none."""
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str] | None:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        found = next((c for other in sorted(graph[name]) if (c := walk(other, [*trail, name]))), None)
        done.add(name)
        return found

    return next((cycle for name in sorted(graph) if (cycle := walk(name, []))), None)


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, None),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"a"}}, ["a", "a"]),
    ],
)
def test_a_cycle_would_be_found(graph: dict[str, set[str]], cycle: list[str] | None) -> None:
    assert cycle_in(graph) == cycle


def test_files_have_at_most_250_lines() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert broken({path: count for path, count in lines.items() if count > 250}) == {}


def test_functions_have_at_most_50_lines() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = {path: [n for n in ast.walk(parsed(path)) if isinstance(n, kinds)] for path in FILES}
    long = {
        path: [f.name for f in each if (f.end_lineno or 0) - f.lineno >= 50]
        for path, each in functions.items()
    }
    assert broken(dict(long)) == {}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `statement`."""
    listing = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", listing], cwd=ROOT, text=True).split())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import gradviz", set()),
        ("from gradviz.cli import main", {"typer", "rich"}),
        ("import gradviz.store, gradviz.analysis", {"numpy", "pyarrow", "pandas"}),
        ("import gradviz.diagnostics", {"numpy"}),
        ("import gradviz.figures", {"numpy", "plotly"}),
    ],
)
def test_importing_a_room_loads_its_own_library_only(statement: str, heavy: set[str]) -> None:
    assert loaded_by(statement) & HEAVY <= heavy


def test_public_names_are_sorted_few_and_there() -> None:
    assert list(gradviz.__all__) == sorted(set(gradviz.__all__))
    assert len(gradviz.__all__) <= 19  # 18 for recording, reading and drawing; `show` for a notebook
    assert [name for name in gradviz.__all__ if not hasattr(gradviz, name)] == []


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'wach'"):
        gradviz.__getattr__("wach")


def test_type_checkers_see_the_names_that_are_loaded_late() -> None:
    seen = type_only(PACKAGE / "__init__.py")
    assert {name for name in gradviz.__all__ if f"{gradviz._HOME[name]}.{name}" not in seen} == set()
