"""Arguments and options that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

Folder = Annotated[
    str | None,
    typer.Argument(
        metavar="[DIR]", help="Folder of runs, or its URL.", show_default="$GRADVIZ_DIR or ./gradviz_runs"
    ),
]
RunsIn = Annotated[
    str | None,
    typer.Option(
        "--dir", help="Folder or URL to look for the name in.", show_default="your runs and the samples"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Port = Annotated[int | None, typer.Option(help="Port.", show_default="the first free one from 8501 on")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the address, open no browser.")]
