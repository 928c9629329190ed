"""The command line: `gradviz view`, `ls`, `summary`, `demo`, `doctor`. The only room with typer and rich.

Commands import what they need when they run, so that `gradviz --help` answers at once.
"""

from gradviz.cli.commands import main as main

__all__ = ["main"]
