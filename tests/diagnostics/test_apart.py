"""A diagnosis from another process is the diagnosis."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import gradviz
from gradviz.diagnostics import Diagnosis, apart, examine
from gradviz.diagnostics.apart import examine_apart
from gradviz.diagnostics.carrying import from_json, to_json
from gradviz.errors import ExaminationError
from gradviz.store import sample_folder

SAMPLES = sorted(path.parent.name for path in sample_folder().glob("*/run.json"))


def assert_same(one: Diagnosis, other: Diagnosis) -> None:
    assert (one.checked, dict(one.unknown)) == (other.checked, dict(other.unknown))
    assert (one.windows, one.windows_total) == (other.windows, other.windows_total)
    for finding, again in zip(one.findings, other.findings, strict=True):
        plain = ("code", "level", "layers", "update", "micro_step")
        assert all(getattr(finding, name) == getattr(again, name) for name in plain)
        np.testing.assert_equal(dict(finding.evidence), dict(again.evidence))  # NaN is equal to itself in it
        if finding.series is None or again.series is None:
            assert finding.series is again.series
            continue
        np.testing.assert_array_equal(finding.series.x, again.series.x)
        np.testing.assert_array_equal(finding.series.y, again.series.y)
        np.testing.assert_array_equal(finding.series.marked, again.series.marked)
        drawn = ("quantity", "over", "limits", "names", "log")
        assert all(getattr(finding.series, name) == getattr(again.series, name) for name in drawn)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_diagnosis_is_carried_whole(sample: str) -> None:
    found = examine(gradviz.open_run(sample_folder() / sample))
    line = to_json(found)
    assert "\n" not in line
    assert_same(from_json(line), found)


def test_another_process_finds_the_same_and_tells_how_far_it_is() -> None:
    path = sample_folder() / "never-resets"
    *steps, found = examine_apart(path)
    assert isinstance(found, Diagnosis)
    assert found.findings
    assert_same(found, examine(gradviz.open_run(path)))
    assert steps == sorted(steps)
    assert 0 <= steps[0] <= steps[-1] <= 1


def test_closing_ends_the_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[str]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with closing(examine_apart(sample_folder() / "never-resets")) as steps:
        assert isinstance(next(steps), float)
    (process,) = begun
    assert process.returncode is not None


def test_a_process_that_a_dead_disk_holds_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    monkeypatch.setattr(apart, "SILENT", 0.2)
    with pytest.raises(ExaminationError, match=r"has said nothing for 0\.2 seconds"):
        list(examine_apart(sample_folder() / "never-resets"))
    assert not [thread for thread in threading.enumerate() if thread.name == "gradviz-listen"]


def test_what_the_other_process_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExaminationError, match=re.escape(str(tmp_path / "nothing"))):
        list(examine_apart(tmp_path / "nothing"))
    with pytest.raises(ExaminationError, match="No rank 7"):
        list(examine_apart(sample_folder() / "never-resets", rank=7))
