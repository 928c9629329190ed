"""`gradviz doctor`: every check, healthy and not."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import platform
import shutil
import sys
from pathlib import Path

import pytest

from gradviz.cli import doctor
from gradviz.cli.doctor import Check, Verdict
from gradviz.store import sample_folder
from tests.cli.conftest import Command


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], requires: list[str]) -> None:
    """Pretend that exactly these distributions are installed."""

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    def requirements(name: str) -> list[str]:
        version(name)
        return requires

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", requirements)


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_this_installation_is_healthy(gradviz: Command, tmp_path: Path) -> None:
    answer = gradviz("doctor", "--json")
    told = json.loads(answer.out)
    assert answer.code == 0
    assert told["ok"] is True
    checks = {check["name"]: check for check in told["checks"]}
    assert checks["python"]["found"] == platform.python_version()
    assert checks["run folder"]["found"] == f"{tmp_path / 'gradviz_runs'} (not there yet)"
    assert checks["file lock"]["verdict"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_person_reads_a_table(gradviz: Command) -> None:
    answer = gradviz("doctor")
    assert answer.code == 0
    assert "file lock" in answer.out


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "10", "1"))
    assert doctor.check_python().verdict is Verdict.PROBLEM


def test_the_other_gradviz_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_namesake().verdict is Verdict.OK
    installed(monkeypatch, {"gradviz": "0.1.2"}, [])
    check = doctor.check_namesake()
    assert check.verdict is Verdict.PROBLEM
    assert "pip uninstall -y gradviz gradviz-dashboard" in check.advice


def test_importing_beside_the_other_gradviz_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"gradviz": "0.1.2"}, [])
    source = Path(str(sys.modules["gradviz"].__file__))
    with pytest.warns(UserWarning, match=r"unrelated package called gradviz \(0.1.2\)"):
        exec(compile(source.read_text(), str(source), "exec"), {"__name__": "gradviz"})  # noqa: S102 - our own file


def test_requirements_are_compared_with_their_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = [
        "numpy>=2.0",
        "pyarrow>=17",
        "streamlit>=1.54",
        "torch>=2.4; extra == 'torch'",
        "mypy>=1; extra == 'test'",
    ]
    versions = {"gradviz-dashboard": "0.1.0", "numpy": "2.10.1", "streamlit": "1.9.9"}
    installed(monkeypatch, versions, requires)
    checks = by_name(list(doctor.check_requirements()))
    assert {name: check.verdict for name, check in checks.items()} == {
        "gradviz-dashboard": Verdict.OK,
        "numpy": Verdict.OK,
        "pyarrow": Verdict.PROBLEM,
        "streamlit": Verdict.PROBLEM,
        "torch": Verdict.NOTE,
    }
    assert "pip install 'streamlit>=1.54'" in checks["streamlit"].advice


@pytest.mark.parametrize(
    ("found", "floor", "enough"),
    [
        ("2.13.0+cu130", "2.4", True),
        ("1.54.0", "1.54", True),
        ("1.9", "1.10", False),
        ("3.0.0rc1", "3", True),
    ],
)
def test_versions_are_numbers(monkeypatch: pytest.MonkeyPatch, found: str, floor: str, enough: bool) -> None:
    installed(monkeypatch, {"some": found}, [])
    assert (doctor.check_version("some", floor, optional=False).verdict is Verdict.OK) is enough


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {}, [])
    (check,) = doctor.check_requirements()
    assert (check.verdict, check.found) == (Verdict.NOTE, "not installed")


def test_a_folder_below_a_file_is_a_problem(gradviz: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = gradviz("doctor", tmp_path / "file" / "runs", "--json")
    assert answer.code == 1
    broken = by_name([Check(**check) for check in json.loads(answer.out)["checks"]])["run folder"]
    assert broken.verdict == Verdict.PROBLEM
    assert "Not a directory" in broken.advice


def test_a_file_system_without_locks_is_worth_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    checks = by_name(list(doctor.check_folder(tmp_path)))
    assert checks["run folder"].verdict is Verdict.OK
    assert checks["file lock"].verdict is Verdict.NOTE


def test_a_missing_dashboard_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gradviz.cli import dashboard

    monkeypatch.setattr(dashboard, "__file__", str(tmp_path / "gradviz" / "cli" / "dashboard.py"))
    assert doctor.check_dashboard().verdict is Verdict.PROBLEM


def copied_sample(folder: Path) -> Path:
    sample = next(path.parent for path in sorted(sample_folder().glob("*/run.json")))
    return Path(shutil.copytree(sample, folder / sample.name))


def test_a_stray_file_is_told_first_and_removed_when_asked(gradviz: Command, tmp_path: Path) -> None:
    run = copied_sample(tmp_path)
    stray = run / "gradients" / "rank=0" / ".part-000000000000-000000000001.parquet.tmp"
    stray.write_bytes(b"half")
    told = gradviz("doctor", tmp_path)
    assert told.code == 0
    assert stray.exists()
    assert "gradviz doctor --fix" in told.out
    mended = gradviz("doctor", tmp_path, "--fix", "--json")
    (one,) = json.loads(mended.out)["runs"]
    assert (mended.code, one["kind"], one["outcome"], one["run"]) == (0, "temporary", "mended", str(run))
    assert not stray.exists()
    assert "Nothing is wrong with the runs" in gradviz("doctor", tmp_path, "--verify").out


def test_damage_is_exit_code_1(gradviz: Command, tmp_path: Path) -> None:
    run = copied_sample(tmp_path)
    part = next((run / "gradients" / "rank=0").glob("part-*.parquet"))
    part.write_bytes(b"garbage")
    answer = gradviz("doctor", tmp_path, "--fix", "--json")
    assert answer.code == 1
    told = json.loads(answer.out)
    assert told["ok"] is False
    assert ("damaged", "left alone") in {(one["kind"], one["outcome"]) for one in told["runs"]}
    assert part.read_bytes() == b"garbage"


def test_mending_that_fails_is_said(gradviz: Command, tmp_path: Path) -> None:
    run = copied_sample(tmp_path)
    (run / ".run.json.tmp").mkdir()  # looks like one of ours, and cannot be unlinked
    answer = gradviz("doctor", tmp_path, "--fix")
    assert answer.code == 1
    assert "cannot be mended" in answer.out
