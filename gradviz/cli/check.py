"""`gradviz check`: what is wrong with a run, as a table, as sentences, or as JSON for a machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.cli.terminal import print_json, print_table, say, shown

if TYPE_CHECKING:
    from gradviz.diagnostics import Diagnosis, Finding
    from gradviz.schema import Level

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def check_run(path: Path, *, fail_on: Level, as_json: bool, verbose: bool) -> bool:
    """Print what the checks found in the run at `path`; returns whether nothing reached `fail_on`."""
    from gradviz.diagnostics import examine
    from gradviz.store import open_run

    run = open_run(path.absolute())
    diagnosis = examine(run)
    if as_json:
        print_json(_as_json(path, diagnosis) | {"damaged": len(run.damaged)})
    else:
        _print(diagnosis, verbose=verbose)
        if run.damaged:
            say(
                f"Damaged parts that could not be read: {len(run.damaged)}. `gradviz summary` names them.",
                style="yellow",
            )
    return all(finding.level.rank < fail_on.rank for finding in diagnosis.findings)


def _print(diagnosis: Diagnosis, *, verbose: bool) -> None:
    from gradviz.diagnostics.wording import missing_of, summary_of
    from gradviz.texts import text

    if diagnosis.findings:
        rows = [_row(finding) for finding in diagnosis.findings]
        print_table(("level", "code", "where", "what"), rows)
        for finding in diagnosis.findings:
            _print_finding(finding)
        say("")
    else:
        say(text("diagnosis.word.nothing"))
    say(summary_of(diagnosis))
    if diagnosis.unknown:
        say(text("diagnosis.word.unknown", count=len(diagnosis.unknown)) if verbose else _hidden(diagnosis))
    if verbose:
        for code, needs in missing_of(diagnosis.unknown).items():
            say(f"  {code}: {needs}")


def _hidden(diagnosis: Diagnosis) -> str:
    return f"{len(diagnosis.unknown)} checks could not be made; --verbose says what they need."


def _row(finding: Finding) -> tuple[str, str, str, str]:
    from gradviz.diagnostics.wording import wording

    return finding.level.value, finding.code, _where(finding), wording(finding).title


def _where(finding: Finding) -> str:
    if finding.update is None:
        return ""
    return f"update {finding.update}" + (
        "" if finding.micro_step is None else f", micro-step {finding.micro_step}"
    )


def _print_finding(finding: Finding) -> None:
    from gradviz.diagnostics.wording import wording

    words = wording(finding)
    say("")
    say(f"{finding.code}: {words.title}", style=_STYLES[finding.level.value])
    for sentence in (words.meaning, words.why, words.advice):
        say(f"  {shown(sentence)}")
    for line in words.paste.splitlines():
        say(f"      {line}", style="dim")


def _as_json(path: Path, diagnosis: Diagnosis) -> dict[str, object]:
    from gradviz.diagnostics.wording import missing_of, wording

    return {
        "run": path,
        "findings": [
            {
                "code": finding.code,
                "level": finding.level.value,
                "layers": finding.layers,
                "update": finding.update,
                "micro_step": finding.micro_step,
                "evidence": dict(finding.evidence),
                **{name: value for name, value in asdict(wording(finding)).items() if name != "level"},
            }
            for finding in diagnosis.findings
        ],
        "checked": diagnosis.checked,
        "unknown": missing_of(diagnosis.unknown),
        "windows": diagnosis.windows,
        "windows_total": diagnosis.windows_total,
    }
