"""The documents are true: the README's code runs, its commands, names and tests are the real ones."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import gradviz

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(ROOT.glob("*.md"))


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_chinese_readme_has_the_same_code_links_and_tables() -> None:
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    for same in (
        r"^```.*?^```",  # blocks
        r"\]\((?!README)([^)\s]+)\)",  # links
        r'(?:src|srcset)="([^"]+)"',  # pictures
        r"^\| (`[\w.\-`, ]+`) \|",  # public names, phases, codes of findings
        r"^\| (`gradviz [^`]+`) \|",  # commands
        r"(?:\| [\d.]+ ± [\d.]+, [\d.]+ )+\| ?[\d.,]* \|$",  # measurements
    ):
        assert re.findall(same, chinese, re.M | re.S if "```" in same else re.M) == re.findall(
            same, README, re.M | re.S if "```" in same else re.M
        ), same
    assert len(re.findall(r"^## ", chinese, re.M)) == len(re.findall(r"^## ", README, re.M))
    assert "](README.zh-CN.md)" in README
    assert "](README.md)" in chinese


def user_training() -> dict[str, object]:
    """The names that a reader of the README brings along."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "criterion": torch.nn.CrossEntropyLoss(),
        "loader": [(torch.randn(5, 6), torch.randint(3, (5,))) for _ in range(10)],
    }


def test_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = user_training()
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own README
    run = names["run"]
    assert isinstance(run, gradviz.Run)
    lengths = run.gradients(phases=["micro_step"]).groupby("update")["micro_step"].max()
    assert lengths.tolist() == [4, 4, 2]


def test_every_command_is_listed() -> None:
    from gradviz.cli.commands import application

    commands = {command.name or command.callback.__name__ for command in application.registered_commands}  # type: ignore[union-attr]
    listed = set(re.findall(r"^\| `gradviz (\w+)", README, re.MULTILINE))
    assert listed == commands


def test_every_public_name_is_listed_and_documented() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"\w+", row)}
    assert set(gradviz.__all__) <= listed
    assert [name for name in gradviz.__all__ if not (getattr(gradviz, name).__doc__ or "").strip()] == []


def test_every_phase_is_explained() -> None:
    from gradviz.schema import PHASES

    assert [phase for phase in PHASES if f"\n| `{phase}` |" not in README] == []


@pytest.mark.parametrize("number", range(1, 8))
def test_every_promise_names_tests_that_exist(number: int) -> None:
    row = re.search(rf"^\| P{number} \|.*$", README, re.MULTILINE)
    assert row
    named = re.findall(r"\[`(\w+)`\]\((tests/[\w/]+\.py)\)", row[0])
    assert named
    for test, path in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert test in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, f"{path}: {test}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [
        *re.findall(r"\]\(([^)#\s]+)\)", text),
        *re.findall(r'(?:src|srcset)="([^"]+)"', text),
    ]
    assert [t for t in targets if "://" not in t and not (ROOT / t).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_documents_exist(document: Path) -> None:
    shown = re.findall(
        r"`((?:app|benchmarks|gradviz|tests|\.ci)/[\w./-]+)`", document.read_text(encoding="utf-8")
    )
    assert [path for path in shown if not (ROOT / path).exists()] == []


def test_the_two_commands_are_there_to_the_letter() -> None:
    shell = "".join(blocks("sh"))
    assert "pip install -e . && streamlit run app/main.py\n" in shell
    assert 'pip install -c constraints.txt -e ".[test]" && pytest\n' in shell


def test_one_tested_version_of_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in wanted}  # type: ignore[index]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert names - pinned == {"gradviz-dashboard"}


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {gradviz.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
