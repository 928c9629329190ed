"""`gradviz export`: one table of a run as a file for other programs."""

from __future__ import annotations

from pathlib import Path

from gradviz.cli.compare import bar
from gradviz.cli.formats import Format, Table
from gradviz.cli.terminal import print_json, say, shown

MEGABYTE = 1e6


def export_run(
    path: Path,
    *,
    table: Table,
    file_format: Format,
    output: Path | None,
    rank: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a table of the run at `path` to `output`, and say what was written."""
    from gradviz.store import open_run
    from gradviz.store.exporting import export

    run = open_run(path.absolute(), rank=rank)
    place = output or Path(f"{path.absolute().name}-{table.value}.{file_format.value}")
    with bar("exporting") as progress:
        written = export(
            run,
            place,
            table=table.value,
            file_format=file_format.value,
            overwrite=force,
            progress=progress,
        )
    if as_json:
        told = {"run": path, "table": table.value, "file": written.path}
        print_json(told | {"rows": written.rows, "bytes": written.bytes, "damaged": len(run.damaged)})
        return
    say(f"{shown(written.path)}  ({written.rows:,} rows, {written.bytes / MEGABYTE:.1f} MB)")
    if run.damaged:
        say(f"{len(run.damaged)} damaged parts are not in it; `gradviz summary` names them", style="yellow")
