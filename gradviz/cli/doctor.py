"""`gradviz doctor`: is this installation whole, can this machine record, and what is wrong with the runs?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from gradviz import namesake
from gradviz.cli.doctor_runs import is_harmful, print_treated, treat
from gradviz.cli.terminal import print_json, print_table, say
from gradviz.errors import GradvizError, RunFolderError

DISTRIBUTION = "gradviz-dashboard"
PYTHON_FLOOR = (3, 11)


class Verdict(StrEnum):
    """What a check came to: fine, worth knowing, or in the way."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do about it (empty when fine)."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def print_checks(folder: Path | str | None, *, fix: bool, verify: bool, as_json: bool) -> bool:
    """Print every check and what is wrong with the runs; True when nothing is in the way or lost."""
    checks = list(all_checks(folder))
    place = folder_of(folder)
    treated = treat(place, fix=fix, read_all=verify)
    healthy = all(check.verdict is not Verdict.PROBLEM for check in checks) and not is_harmful(treated)
    if as_json:
        runs = [one.as_json() for one in treated]
        print_json({"ok": healthy, "checks": [asdict(check) for check in checks], "runs": runs})
        return healthy
    print_table(("check", "", "found"), ((check.name, check.verdict.value, check.found) for check in checks))
    for check in checks:
        if check.advice:
            say(
                f"{check.name}: {check.advice}", style="red" if check.verdict is Verdict.PROBLEM else "yellow"
            )
    print_treated(place, treated)
    return healthy


def folder_of(folder: Path | str | None) -> Path:
    """The folder asked for, else the one that runs are recorded to, absolute; raises RunFolderError for a URL."""
    from gradviz.store.places import default_folder
    from gradviz.store.urls import is_url

    if is_url(folder):
        raise RunFolderError(
            f"{folder} is a URL; gradviz doctor looks at folders of this machine. "
            f"`gradviz ls {folder}` lists its runs, and `gradviz check URL-OF-A-RUN` reads one of them."
        )
    return Path(folder or default_folder()).expanduser().absolute()


def all_checks(folder: Path | str | None) -> Iterator[Check]:
    """Every check, in the order in which a user meets them."""
    yield check_python()
    yield check_namesake()
    yield from check_requirements()
    yield check_dashboard()
    yield from check_folder(folder)
    yield check_spool()


def check_python() -> Check:
    """Python is at least 3.11."""
    found = platform.python_version()
    if tuple(map(int, platform.python_version_tuple()[:2])) >= PYTHON_FLOOR:
        return Check("python", Verdict.OK, found)
    return Check("python", Verdict.PROBLEM, found, "gradviz needs Python 3.11 or newer.")


def check_namesake() -> Check:
    """No unrelated distribution called `gradviz` is installed: its files and ours overwrite each other."""
    version = namesake()
    if version is None:
        return Check("other gradviz", Verdict.OK, "not installed")
    advice = (
        f"an unrelated package called gradviz ({version}) is installed, and the two overwrite each other's "
        "files. Remove both with `pip uninstall -y gradviz gradviz-dashboard`, then install ours again."
    )
    return Check("other gradviz", Verdict.PROBLEM, f"gradviz {version}", advice)


def check_requirements() -> Iterator[Check]:
    """What is needed is installed, and as new as its floor; torch and numba may be missing."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
        yield Check(DISTRIBUTION, Verdict.OK, importlib.metadata.version(DISTRIBUTION))
    except importlib.metadata.PackageNotFoundError:
        advice = "gradviz runs from a folder that is not installed: pip install -e ."
        yield Check(DISTRIBUTION, Verdict.NOTE, "not installed", advice)
        return
    for requirement in requirements:
        wanted = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", requirement)
        extra = re.search(r"extra\s*==\s*['\"](\w+)", requirement)
        if wanted and (extra is None or extra[1] == "torch"):
            yield check_version(wanted[1], wanted[2], optional=extra is not None)


def check_version(name: str, floor: str, *, optional: bool) -> Check:
    """The distribution `name` is installed in version `floor` or newer."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if optional:
            advice = f"only recording uses it, the dashboard does not: pip install {name}"
            return Check(name, Verdict.NOTE, "not installed", advice)
        return Check(name, Verdict.PROBLEM, "not installed", f"pip install '{name}>={floor}'")
    if _release(found) < _release(floor):
        return Check(
            name, Verdict.PROBLEM, found, f"{floor} or newer is needed: pip install '{name}>={floor}'"
        )
    return Check(name, Verdict.OK, found)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])


def check_dashboard() -> Check:
    """The dashboard's own files are where they should be."""
    from gradviz.cli.dashboard import app_entry

    try:
        return Check("dashboard", Verdict.OK, str(app_entry()))
    except GradvizError as error:
        return Check("dashboard", Verdict.PROBLEM, "missing", str(error))


def check_folder(folder: Path | str | None) -> Iterator[Check]:
    """Runs can be written to the folder (while it is not there: to where it will be made), and locked."""
    place = folder_of(folder)
    there = next(p for p in (place, *place.parents) if p.exists())
    found = str(place) if there == place else f"{place} (not there yet)"
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            yield Check("run folder", Verdict.OK, found)
            yield check_lock(probe.fileno())
    except OSError as error:
        advice = f"{error.strerror or error}. Name another with run_dir= or $GRADVIZ_DIR."
        yield Check("run folder", Verdict.PROBLEM, found, advice)


def check_spool() -> Check:
    """What was recorded for URLs does not stay on this machine for ever: ended runs are named."""
    from gradviz.schema import RunState
    from gradviz.store import list_runs
    from gradviz.store.urls import cache_folder

    spool = cache_folder() / "spool"
    ended = [run.path for run in list_runs(spool) if run.state is not RunState.LIVE]
    if not ended:
        return Check("runs for URLs", Verdict.OK, f"none waits in {spool}")
    size = sum(file.stat().st_size for run in ended for file in run.rglob("*") if file.is_file()) / 2**20
    advice = (
        f"{ended[0]}{f' and {len(ended) - 1} more' if len(ended) > 1 else ''}: gradviz never removes them, for "
        "a run may have broken off before all of it was copied. Compare with `gradviz ls URL`, then remove them."
    )
    return Check("runs for URLs", Verdict.NOTE, f"{len(ended)} ended, {size:,.1f} MiB here", advice)


def check_lock(handle: int) -> Check:
    """The folder's file system has the lock that keeps a run to one writer."""
    try:
        import fcntl
    except ImportError:
        return Check(
            "file lock", Verdict.NOTE, f"none on {os.name}", "two writers of one run are not noticed here."
        )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        advice = "this file system has no flock: two writers of one run are not noticed here."
        return Check("file lock", Verdict.NOTE, str(error.strerror), advice)
    return Check("file lock", Verdict.OK, "works")
