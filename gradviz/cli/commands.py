"""The commands themselves: arguments in, one call into the room that does it, text or JSON out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gradviz.cli.formats import Format, Table
from gradviz.cli.options import Folder, Json, NoBrowser, Port, RunsIn
from gradviz.errors import GradvizError
from gradviz.schema import Level

application = typer.Typer(
    name="gradviz",
    help="See how gradients accumulate in a PyTorch training, micro-step by micro-step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run one command; an error of ours is one sentence and exit code 2, never a traceback."""
    try:
        application()
    except GradvizError as error:
        from gradviz.cli.terminal import complain

        complain(str(error))
        sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        from gradviz import __version__

        typer.echo(__version__)
        raise typer.Exit


@application.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version  # handled by its callback


@application.command()
def view(
    folder: Folder = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = None,
    no_browser: NoBrowser = False,
) -> None:
    """Open the dashboard on a folder of runs; without one, on your runs and the shipped samples."""
    from gradviz.cli.dashboard import Dashboard, view_forever

    view_forever(Dashboard.on(folder, host=host, port=port), open_browser=not no_browser)


@application.command()
def ls(folder: Folder = None, json: Json = False) -> None:
    """List the runs of a folder, newest first."""
    from gradviz.cli.listing import print_runs

    print_runs(folder, as_json=json)


@application.command()
def summary(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of a run.")],
    folder: RunsIn = None,
    rank: Annotated[
        int | None, typer.Option(help="One rank of a distributed run.", show_default="all together")
    ] = None,
    json: Json = False,
) -> None:
    """Say what one run holds: layers, windows and their lengths, resets, state, damage."""
    from gradviz.cli.choosing import find_run
    from gradviz.cli.summary import print_summary

    print_summary(find_run(run, folder), rank=rank, as_json=json)


@application.command()
def check(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of a run.")],
    folder: RunsIn = None,
    fail_on: Annotated[
        Level, typer.Option(help="Exit with code 1 if something this bad, or worse, is found.")
    ] = Level.WARNING,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say what could not be checked, and why.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what is wrong with a run, why, and what to do; exit code 1 on findings, 2 on a bad run."""
    from gradviz.cli.check import check_run
    from gradviz.cli.choosing import find_run

    if not check_run(find_run(run, folder), fail_on=fail_on, as_json=json, verbose=verbose):
        raise typer.Exit(1)


@application.command()
def report(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of a run.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write.", show_default="<run folder>.html here"),
    ] = None,
    folder: RunsIn = None,
    rank: Annotated[
        int | None, typer.Option(help="One rank of a distributed run.", show_default="all together")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the report: en or zh.")] = "en",
    json: Json = False,
) -> None:
    """Write one HTML file with the findings and pictures of a run; it opens offline and prints well."""
    from gradviz.cli.choosing import find_run
    from gradviz.cli.report import print_report

    print_report(find_run(run, folder), output=output, rank=rank, language=lang, as_json=json)


@application.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run folder, or the name of a run.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The run that is held against it.")],
    folder: RunsIn = None,
    rtol: Annotated[
        float, typer.Option(help="Relative difference of two norms up to which they are the same.")
    ] = 1e-5,
    json: Json = False,
) -> None:
    """Say where two runs part, by how much, and what they say of themselves; exit code 1 if they differ."""
    from gradviz.cli.choosing import find_run
    from gradviz.cli.compare import compare_runs

    if not compare_runs(find_run(first, folder), find_run(second, folder), rtol=rtol, as_json=json):
        raise typer.Exit(1)


@application.command()
def export(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of a run.")],
    file_format: Annotated[Format, typer.Option("--format", help="Format of the file.")] = Format.CSV,
    table: Annotated[Table, typer.Option(help="Which of its tables.")] = Table.GRADIENTS,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File to write.", show_default="<run folder>-<table>.<format> here"
        ),
    ] = None,
    folder: RunsIn = None,
    rank: Annotated[
        int | None, typer.Option(help="One rank of a distributed run.", show_default="all together")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: Json = False,
) -> None:
    """Write a table of a run as CSV, Parquet or JSON, for other programs."""
    from gradviz.cli.choosing import find_run
    from gradviz.cli.export import export_run

    export_run(
        find_run(run, folder),
        table=table,
        file_format=file_format,
        output=output,
        rank=rank,
        force=force,
        as_json=json,
    )


@application.command()
def advise(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of a run.")],
    folder: RunsIn = None,
    samples: Annotated[
        float | None, typer.Option(min=0.001, help="Samples in a micro-batch.", show_default="as recorded")
    ] = None,
    dataset_size: Annotated[
        int | None, typer.Option(min=1, help="Samples of the data set, if an epoch visits each once.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a smaller or larger window would buy, from the noise scale of a run."""
    from gradviz.cli.advise import print_advice
    from gradviz.cli.choosing import find_run

    print_advice(find_run(run, folder), samples=samples, dataset_size=dataset_size, as_json=json)


@application.command()
def verify(
    function: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="It returns (model, accumulate, reference).")
    ],
    json: Json = False,
) -> None:
    """Compare a window of micro-steps with one large batch; exit code 1 if gradients differ, 2 if it cannot run."""
    from gradviz.cli.verify import verify_function

    if not verify_function(function, as_json=json):
        raise typer.Exit(1)


@application.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Folder for the run.", show_default="$GRADVIZ_DIR or ./gradviz_runs"),
    ] = None,
    updates: Annotated[int, typer.Option(min=1, help="How many updates to train.")] = 1000,
    port: Port = None,
    no_browser: NoBrowser = False,
    train_only: Annotated[bool, typer.Option("--train-only", help="Record and exit, no dashboard.")] = False,
) -> None:
    """Train a small real model with accumulation and watch it live in the dashboard."""
    from gradviz.cli.demo import run_demo

    run_demo(folder, updates=updates, port=port, open_browser=not no_browser, train_only=train_only)


@application.command()
def doctor(
    folder: Folder = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Remove stray temporary files and write missing overviews.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every page of every run.")] = False,
    json: Json = False,
) -> None:
    """Check this installation and the runs, and say what to do; exit code 1 on a problem or damage."""
    from gradviz.cli.doctor import print_checks

    if not print_checks(folder, fix=fix, verify=verify, as_json=json):
        raise typer.Exit(1)
