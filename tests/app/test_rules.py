"""What may not stand in the dashboard's source: literal text, raw HTML, anything that runs what it reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gradviz.texts import LANGUAGES, catalogue

APP = Path(__file__).parents[2] / "app"
FILES = sorted(APP.rglob("*.py"))
PAGES = sorted((APP / "app_pages").glob("*.py"))

FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "unsafe_allow_html", "unsafe_allow_javascript"}
FORBIDDEN_ATTRIBUTES = {
    "html",
    "iframe",
    "eval",
    "query",
    "file_uploader",
    "camera_input",
    "write",
}
FORBIDDEN_MODULES = {
    "pickle",
    "subprocess",
    "os",
    "shutil",
    "torch",
    "marshal",
    "shelve",
    "importlib",
    "requests",
}

NOT_WORDS = {"not reset", "YYYY-MM-DD HH:mm"}  # what the ledger says (translated when shown); a format
TWO_WORDS_OR_CHINESE = r"[A-Za-z]{2,} [A-Za-z]{2,}|[\u3400-\u9fff]"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(path)))


def _ids(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def _where(path: Path, node: ast.AST) -> str:
    return f"{_ids(path)}:{getattr(node, 'lineno', '?')}"


def test_no_raw_html_and_nothing_that_runs_what_it_reads() -> None:
    found = []
    for path in FILES:
        for node in _nodes(path):
            forbidden = (
                (isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES)
                or (isinstance(node, ast.keyword) and node.arg in FORBIDDEN_NAMES)
                or (isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_ATTRIBUTES)
            )
            found += [_where(path, node)] if forbidden else []
    assert found == []


def test_no_module_that_unpickles_starts_or_deletes() -> None:
    found = []
    for path in FILES:
        for node in _nodes(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {name.partition(".")[0] for name in names} & FORBIDDEN_MODULES:
                found.append(_where(path, node))
    assert found == []


def test_no_literal_text() -> None:
    spoken = [(_ids(path), constant) for path in FILES for constant in _spoken_constants(_tree(path))]
    assert [
        one for one in spoken if re.search(TWO_WORDS_OR_CHINESE, one[1]) and one[1] not in NOT_WORDS
    ] == []


def test_what_streamlit_shows_comes_from_the_catalogue() -> None:
    """The first argument of a Streamlit element is never a string in the source."""
    found = []
    for path in FILES:
        for node in _nodes(path):
            is_element = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_element and isinstance(node.func.value, ast.Name) and node.func.value.id == "st":
                shown = [
                    *node.args[:1], *(word.value for word in node.keywords if word.arg in {"label", "help"})
                ]  # fmt: skip
                words = [one.value for one in shown if isinstance(one, ast.Constant)]
                words = [one for one in words if isinstance(one, str) and not one.startswith("app_pages/")]
                found += [(_where(path, node), *words)] if words else []
    assert found == []


def _spoken_constants(tree: ast.Module) -> Iterator[str]:
    """Strings that are neither docstrings, nor the snippet of code that the reader copies."""
    silent: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RECORD_SNIPPET":
            silent.add(node.value)
    for node in ast.walk(tree):
        is_spoken = isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent
        if is_spoken and not node.value.startswith("<"):  # a piece of the sparkline's SVG
            yield node.value


def _patterns() -> dict[str, re.Pattern[str]]:
    """The first argument of every `say`, `say_plain`, `section` and `page_head`, holes as wildcards."""
    patterns = {}
    for path in FILES:
        for node in _nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if any(word.arg == "heading" for word in node.keywords):
                    continue  # section(..., heading=False) says nothing
                for suffix in _suffixes(node.func.id):
                    key = _as_pattern(node.args[0])
                    patterns[f"{_ids(path)}:{node.lineno}{suffix}"] = re.compile(rf"app\.{key}{suffix}")
    return patterns


def _suffixes(function: str) -> list[str]:
    if function in {"say", "say_plain"}:
        return [""]
    if function == "page_head":
        return [r"\.title", r"\.question"]
    return {"section": [r"\.title", r"\.help"], "show_picture": [r"\.help"]}.get(function, [])


def _as_pattern(key: ast.expr) -> str:
    if isinstance(key, ast.Constant):
        return re.escape(str(key.value))
    if isinstance(key, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[\w.]+" for part in key.values
        )
    return r"[\w.]+"


def test_every_key_that_the_app_says_is_in_the_catalogue() -> None:
    keys = [key for key in catalogue("en") if key.startswith("app.")]
    missing = [place for place, pattern in _patterns().items() if not any(map(pattern.fullmatch, keys))]
    assert missing == []


def test_every_key_of_the_catalogue_is_said() -> None:
    """Keys that are put together from parts (`<table>.<name>`) are named by their tables."""
    said = [pattern for pattern in _patterns().values() if pattern.pattern != r"app\.[\w.]+"]
    tables = ("app.ledger", "app.flow", "app.runs.column", "app.checks")
    keys = [key for key in catalogue("en") if key.startswith("app.") and not key.startswith(tables)]
    assert [key for key in keys if not any(pattern.fullmatch(key) for pattern in said)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_of_the_app_is_empty(language: str) -> None:
    assert all(sentence.strip() for sentence in catalogue(language).values())


def test_files_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [_ids(path) for path, count in lines.items() if count > (60 if path in PAGES else 250)] == []


def test_config_keeps_the_server_on_this_machine_and_quiet() -> None:
    config = tomllib.loads((APP / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["showEmailPrompt"] is False
    assert config["server"]["enableStaticServing"] is False
    assert config["server"]["enableCORS"] is True
    assert config["server"]["enableXsrfProtection"] is True
    assert config["browser"]["gatherUsageStats"] is False
    assert {"light", "dark"} <= config["theme"].keys()


def test_the_app_never_imports_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(APP / 'dashboard.py')!r}, default_timeout=60).run()\n"
        "assert not app.exception, app.exception\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules"
    )
    environment = {"GRADVIZ_DIR": str(tmp_path), "PYTHONPATH": f"{APP}:{APP.parent}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
