"""A run examined in a process of its own: a long one takes seconds and hundreds of megabytes, and then gives them back.

Run as a program it writes a line for each step of its progress, and the diagnosis (or why there is none) as the last.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import gradviz
from gradviz.diagnostics.carrying import from_json, to_json
from gradviz.diagnostics.examining import examine
from gradviz.diagnostics.findings import Diagnosis
from gradviz.errors import ExaminationError, GradvizError
from gradviz.store import open_run

FINEST = 0.01  # progress is told in steps of a hundredth
SILENT = 300.0  # seconds without a word after which it is given up
GIVE_WAY = 5.0  # seconds in which a process that was killed should be gone
BEHIND = 5  # others come first: the process that asked goes on answering
_DONE, _REFUSED, _AT = "done ", "refused ", "at "


def examine_apart(path: Path, rank: int | None = None) -> Generator[float | Diagnosis, None, None]:
    """As `examine`, elsewhere: yields the fraction that is done, again and again, and the diagnosis as the last.

    Closing the iterator ends that process.

    Raises:
        ExaminationError: it ended without a diagnosis; the message is what it said. Or it has said nothing
            for `SILENT` seconds: a disk that does not answer holds it, and nobody else.
    """
    command = [sys.executable, "-m", __name__, str(path), *([] if rank is None else [str(rank)])]
    home = str(Path(gradviz.__file__).parents[1])
    search = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(  # noqa: S603  # ourselves, and a path that was opened already
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": search},
    )
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # of its own, for nothing ends a process that waits for a dead disk: not even to be killed
    listener = threading.Thread(target=_listen, args=(process, said), name="gradviz-listen", daemon=True)
    listener.start()
    try:
        while (line := _next(said, path)) is not None:
            if line.startswith(_DONE):
                yield from_json(line.removeprefix(_DONE))
                return
            if line.startswith(_REFUSED):
                raise ExaminationError(line.removeprefix(_REFUSED).strip())
            yield float(line.removeprefix(_AT))
    finally:
        process.kill()
        listener.join(GIVE_WAY)
    raise ExaminationError(f"The process that examined {path.name} ended early: {process.returncode}.")


def _listen(process: subprocess.Popen[str], said: queue.SimpleQueue[str | None]) -> None:
    """Pass on each line, and None when there are no more and the process has ended."""
    with process:
        for line in process.stdout or ():
            said.put(line)
    said.put(None)


def _next(said: queue.SimpleQueue[str | None], path: Path) -> str | None:
    try:
        return said.get(timeout=SILENT)
    except queue.Empty:
        raise ExaminationError(
            f"The process that examines {path.name} has said nothing for {SILENT:g} seconds and was given up. "
            "Does its disk still answer?"
        ) from None


def main() -> None:
    """Examine the run that the arguments name."""
    path, *rank = sys.argv[1:]
    os.nice(BEHIND)
    told = -1.0

    def tell(done: float) -> None:
        nonlocal told
        if done >= told + FINEST:
            told = done
            print(f"{_AT}{done:.3f}", flush=True)  # noqa: T201  # to the process that asked; if it is gone we end

    try:
        run = open_run(path, rank=int(rank[0]) if rank else None)
        last = _DONE + to_json(examine(run, tell))
    except (GradvizError, OSError) as error:
        last = _REFUSED + " ".join(str(error).split())
    print(last, flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    main()
