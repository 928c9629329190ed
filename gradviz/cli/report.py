"""`gradviz report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

from gradviz.cli.terminal import print_json, say, shown

MEGABYTE = 1e6


def print_report(path: Path, *, output: Path | None, rank: int | None, language: str, as_json: bool) -> None:
    """Write the report of the run at `path` to `output` and say where it is and what it found."""
    from gradviz.errors import ReportError
    from gradviz.reporting import write_report
    from gradviz.store import open_run
    from gradviz.texts import LANGUAGES

    if language not in LANGUAGES:
        raise ReportError(f"There is no report in {language!r}. Languages: {', '.join(LANGUAGES)}.")
    path = path.absolute()
    written = write_report(open_run(path, rank=rank), output or Path(f"{path.name}.html"), language=language)
    if as_json:
        print_json(
            {"run": path, "report": written.path, "bytes": written.bytes, "findings": written.findings}
        )
        return
    found = ", ".join(f"{count} {level}" for level, count in reversed(written.findings.items()) if count)
    say(f"{shown(written.path)}  ({written.bytes / MEGABYTE:.1f} MB; {found or 'nothing found'})")
