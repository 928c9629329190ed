"""`gradviz.watch`: checks what it was given, opens the run, attaches the hooks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.optim import Optimizer

from gradviz.errors import GradvizError, WatchError
from gradviz.recording.amp import Unscaling
from gradviz.recording.announcing import OnFinding
from gradviz.recording.board import GradientBoard
from gradviz.recording.endings import check_sigterm
from gradviz.recording.guard import warn
from gradviz.recording.inert import Recorder
from gradviz.recording.observer import Observer
from gradviz.recording.opening import open_writer
from gradviz.recording.parameters import WatchedParameters, find_parameters
from gradviz.recording.recorder import ActiveRecorder
from gradviz.recording.statistics import Gauge, load_kernels
from gradviz.recording.tally import Tally
from gradviz.recording.windows import Windows
from gradviz.store import RunWriter

Optimizers = Optimizer | Sequence[Optimizer] | None

HOOKS = "_optimizer_step_pre_hooks"  # Accelerate's wrapper is an Optimizer that has none

_open: list[weakref.ref[ActiveRecorder]] = []


def watch(
    model: nn.Module | Iterable[tuple[str, torch.Tensor]],
    optimizer: Optimizers = None,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    accumulation_steps: int | None = None,
    every: int = 1,
    scaler: Any = None,
    micro: bool = True,
    distributions: bool | int = False,
    resume: str | os.PathLike[str] | None = None,
    on_finding: OnFinding | None = None,
    forward: Any = None,
    on_sigterm: Literal["flush"] | None = None,
    strict: bool = False,
) -> Recorder:
    """Record every gradient of `model` at every micro-step and update, until the recorder is closed.

    Args:
        model: an `nn.Module`, or pairs of name and parameter such as `model.named_parameters()`.
        optimizer: one, several, or none; with none, any optimizer that owns a watched parameter counts.
        run_dir: parent folder of the run, or its fsspec URL; default `$GRADVIZ_DIR` or `./gradviz_runs`.
        name: part of the run folder's name; default the model's class.
        accumulation_steps: what you mean to do, a declaration to compare with. Windows are observed.
        every: record every k-th window in full and skip the others.
        scaler: the `GradScaler`; only for one that is not torch's: those are found by themselves.
        micro: record each backward's own share g_k too; without it only what accumulates, G_k.
        distributions: count each update's gradients by binary exponent; k for every k-th recorded one.
        resume: folder of a run to go on with, as a new segment; layers are matched by name.
        on_finding: called with each finding as it comes up, on the writer's thread, once an episode.
        forward: an open SummaryWriter, or run of wandb or trackio, that gets a few numbers of each update.
        on_sigterm: "flush" writes what is queued at SIGTERM, which then does what it did before.
        strict: raise on bad input or an unwritable folder. Otherwise warn once and let training go on.

    Returns the recorder, a context manager; `.run_path` is the run's folder. `GRADVIZ_MODE=off`: a no-op.
    Raises WatchError or RunFolderError only if `strict`.
    """
    place: dict[str, Any] = {"run_dir": run_dir, "name": name, "resume": resume, "strict": strict}
    place |= {"on_finding": on_finding, "forward": forward}
    wanted = {"every": every, "scaler": scaler, "micro": micro, "distributions": distributions}
    wanted["on_sigterm"] = on_sigterm
    try:
        return _start(model, optimizer, accumulation_steps, place, wanted)
    except GradvizError as error:
        if strict:
            raise
        warn(f"{error} Nothing is recorded.")
        return Recorder()


def _start(
    model: Any, optimizer: Any, declared: int | None, place: dict[str, Any], wanted: dict[str, Any]
) -> Recorder:
    if os.environ.get("GRADVIZ_MODE", "").lower() == "off":
        return Recorder()
    watched = find_parameters(model)
    optimizers = _optimizers(optimizer)
    _check_counts(accumulation_steps=declared, every=wanted["every"], distributions=wanted["distributions"])
    check_sigterm(wanted["on_sigterm"])
    _supersede(watched)
    facts = {
        "accumulation_steps": declared,
        "every": wanted["every"],
        "model_class": type(model).__name__,
        "torch_version": torch.__version__,
    }
    writer = open_writer(watched, facts, **place)
    return _attach(watched, optimizers, writer, **wanted)


def _attach(
    watched: WatchedParameters,
    optimizers: list[Optimizer],
    writer: RunWriter,
    *,
    every: int = 1,
    scaler: Any = None,
    micro: bool = True,
    distributions: int = False,
    on_sigterm: str | None = None,
) -> ActiveRecorder:
    board = GradientBoard(watched, Gauge(load_kernels()), micro=micro)
    windows = Windows(every, first=writer.first_update)
    tally = Tally(watched, every * distributions) if distributions else None
    observer = Observer(watched, board, windows, writer, Unscaling(len(watched), scaler), tally)
    recorder = ActiveRecorder(watched, observer, writer)
    recorder.attach(optimizers, at_sigterm=on_sigterm is not None)
    _open.append(weakref.ref(recorder))
    return recorder


def _optimizers(given: Any) -> list[Optimizer]:
    """One, several or none; a wrapper such as Accelerate's stands for the `.optimizer` in it."""
    if given is None:
        return []
    several = given if isinstance(given, list | tuple) else [given]
    unwrapped = [one if hasattr(one, HOOKS) else getattr(one, "optimizer", one) for one in several]
    for one in unwrapped:
        if not hasattr(one, HOOKS):
            raise WatchError(
                f"gradviz.watch was given a {type(one).__name__} as optimizer. "
                "Pass a torch.optim.Optimizer, a list of them, or none."
            )
    return cast("list[Optimizer]", unwrapped)


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value is not False and (not isinstance(value, int) or value < 1):
            raise WatchError(f"gradviz.watch was given {name}={value!r}. It takes a whole number from 1 up.")


def _supersede(watched: WatchedParameters) -> None:
    """The same parameters are watched already (a notebook cell run twice): close that run, hooks never double."""
    _open[:] = [ref for ref in _open if (recorder := ref()) is not None and not recorder.closed]
    for recorder in [ref() for ref in _open]:
        if recorder is not None and recorder.watched.slot_of.keys() == watched.slot_of.keys():
            recorder.supersede()
