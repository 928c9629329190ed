"""`gradviz verify`: does a window of micro-steps leave the gradient of one large batch?"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gradviz
from gradviz.cli.terminal import print_json, print_table, say, shown
from gradviz.errors import VerificationError
from gradviz.texts import text

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADINGS = ("error", "cosine", "factor", "layer")


def verify_function(target: str, *, as_json: bool) -> bool:
    """Verify what `file.py:function` hands over, print the report, and return whether the gradients are equal."""
    if importlib.util.find_spec("torch") is None:
        raise VerificationError(
            "Verifying runs a model and needs torch, which is not installed: pip install torch"
        )
    report = _report(_load(target), target)
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    return bool(report.ok)


def _load(target: str) -> Callable[[], Any]:
    """The function that `file.py:function` names; its folder is importable, as for `python file.py`."""
    file, colon, name = target.rpartition(":")
    path = Path(file).expanduser().absolute()
    if not colon or not name.isidentifier() or path.suffix != ".py":
        raise VerificationError(f"`{shown(target)}` is not of the form path/to/file.py:function.")
    if not path.is_file():
        raise VerificationError(f"There is no file {shown(path)}.")
    module = ModuleType(f"verified_by_gradviz_{path.stem}")  # a name that hides no other module
    module.__file__ = str(path)
    sys.path.insert(0, str(path.parent))
    sys.modules[module.__name__] = module
    try:
        SourceFileLoader(module.__name__, str(path)).exec_module(module)
    except (Exception, SystemExit) as error:
        raise VerificationError(f"{shown(path.name)} cannot be imported: {_said(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        there = sorted(
            n
            for n, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", "") == module.__name__
        )
        raise VerificationError(
            f"{shown(path.name)} has no function `{name}`. Found: {', '.join(there) or 'none'}."
        )
    return function  # type: ignore[no-any-return]  # whatever it is, it is callable


def _report(function: Callable[[], Any], target: str) -> Any:
    try:
        handed = function()
        if hasattr(handed, "as_json") and hasattr(handed, "ok"):
            return handed
        if isinstance(handed, tuple) and len(handed) == 3:
            return gradviz.verify_accumulation(*handed)
    except VerificationError:
        raise
    except (Exception, SystemExit) as error:  # an exit code of theirs would read as a verdict
        raise VerificationError(f"{shown(target)} failed: {_said(error)}") from error
    raise VerificationError(
        f"{shown(target)} returned {type(handed).__name__}. It should return (model, accumulate, reference), or the "
        "report of gradviz.verify_accumulation."
    )


def _said(error: BaseException) -> str:
    """The error and the line of the user's file that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f
        for f in frames
        if "importlib" not in f.filename and Path(f.filename).parent != Path(__file__).parent
    ]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return shown(f"{type(error).__name__}: {error}{place}")


def _print(report: Any) -> None:
    verdict, *causes = report.sentences()
    say(verdict, style="green" if report.ok else "red")
    for sentence in causes:
        say(sentence)
    headings = [text(f"verification.table.{name}") for name in _HEADINGS]
    rows = [(f"{x.error:.2e}", f"{x.cosine:.6f}", f"{x.factor:.4g}", x.layer) for x in report.layers]
    say("")
    print_table(headings, rows, right=headings[:3])
