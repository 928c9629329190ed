"""Which folder and which run a command is about."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradviz.errors import RunNotFoundError

if TYPE_CHECKING:
    from gradviz.store import RunSummary

_LISTED = 5


def chosen_place(place: Path | str | None) -> Path | str:
    """The folder or URL that was asked for, else `$GRADVIZ_DIR` or `./gradviz_runs`; a folder must be there.

    Raises RunNotFoundError when it is not, or is a file.
    """
    from gradviz.store.places import default_place
    from gradviz.store.urls import is_url

    wanted = place or default_place()
    if is_url(wanted):
        return wanted
    chosen = Path(wanted).expanduser().absolute()
    if chosen.is_dir():
        return chosen
    if chosen.exists():
        raise RunNotFoundError(f"{chosen} is a file, not a folder of runs. Give the folder that holds it.")
    raise RunNotFoundError(
        f"There is no folder {chosen}. Record a run (`gradviz demo` makes one), or name another folder."
    )


def find_run(asked: str, folder: Path | str | None = None) -> Path:
    """The run called `asked`: a path, a URL, the name of a run folder, or the name given to `watch` (the newest).

    Names are looked for in `folder`, else in the default folder, and then among the sample runs.
    Raises RunNotFoundError, which says what is there.
    """
    from gradviz.store.mirror import Copy
    from gradviz.store.places import default_place, folders_to_show, sample_folder
    from gradviz.store.urls import is_url

    if is_url(asked):
        return Copy(asked).fetch()
    if asked and _is_run(Path(asked)):
        return Path(asked)
    wanted = folder or default_place()
    places: Sequence[Path | str]
    places = (
        [wanted, sample_folder()] if isinstance(wanted, str) and is_url(wanted) else folders_to_show(wanted)
    )
    runs = [run for place in places for run in _runs_in(place)]
    for run in runs:
        if asked == run.path.name:
            return run.path
    for run in runs:  # newest first within a place
        if asked == run.name:
            return run.path
    raise RunNotFoundError(_not_found(asked, places, runs))


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except OSError:  # too long for a name
        return False


def _runs_in(place: Path | str) -> list[RunSummary]:
    from gradviz.store import list_runs

    return [] if isinstance(place, Path) and not place.is_dir() else list_runs(place)


def _not_found(asked: str, places: Sequence[Path | str], runs: list[RunSummary]) -> str:
    from gradviz.cli.terminal import shown

    where = " or ".join(str(place) for place in places)
    if not runs:
        return f"Run '{shown(asked)}' not found: no runs in {where}. Record one with `gradviz demo`."
    names = list(dict.fromkeys(run.path.name for run in runs))
    near = difflib.get_close_matches(asked, names, n=_LISTED, cutoff=0.3) or names[:_LISTED]
    more = f" and {len(names) - len(near)} more (`gradviz ls` lists them)" if len(names) > len(near) else ""
    return f"Run '{shown(asked)}' not found in {where}. Found: {', '.join(map(shown, near))}{more}."
