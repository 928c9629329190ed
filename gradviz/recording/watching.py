"""`gradviz.watch`: checks what it was given, opens the run, attaches the hooks."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer

from gradviz.errors import GradvizError, RunFolderError, WatchError
from gradviz.recording.amp import Unscaling
from gradviz.recording.board import GradientBoard
from gradviz.recording.guard import warn
from gradviz.recording.launch import this_launch
from gradviz.recording.observer import Observer
from gradviz.recording.parameters import WatchedParameters, find_parameters
from gradviz.recording.recorder import ActiveRecorder, Recorder
from gradviz.recording.statistics import Gauge, load_kernels
from gradviz.recording.tally import Tally
from gradviz.recording.windows import Windows
from gradviz.store import RunWriter, default_folder
from gradviz.store.urls import local_or_url

Optimizers = Optimizer | Sequence[Optimizer] | None

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
        strict: raise on bad input or an unwritable folder. Otherwise warn once and let training go on.

    Returns the recorder, a context manager; `.run_path` is the run's folder.
    Raises WatchError or RunFolderError only if `strict`.

    A step pre-hook of your own, registered later, runs after ours and is not seen.
    `GRADVIZ_MODE=off` makes this a no-op.
    """
    if os.environ.get("GRADVIZ_MODE", "").lower() == "off":
        return Recorder()
    try:
        watched = find_parameters(model)
        optimizers = _optimizers(optimizer)
        _check_counts(every=every, accumulation_steps=accumulation_steps, distributions=distributions or None)
        _supersede(watched)
        settings = {
            "accumulation_steps": accumulation_steps,
            "every": every,
            "model_class": type(model).__name__,
        }
        writer = _open_writer(
            watched, run_dir, name or type(model).__name__, settings, resume=resume, strict=strict
        )
    except GradvizError as error:
        if strict:
            raise
        warn(f"{error} Nothing is recorded.")
        return Recorder()
    return _attach(
        watched, optimizers, writer, every=every, scaler=scaler, micro=micro, distributions=distributions
    )


def _attach(
    watched: WatchedParameters,
    optimizers: list[Optimizer],
    writer: RunWriter,
    *,
    every: int = 1,
    scaler: Any = None,
    micro: bool = True,
    distributions: int = False,
) -> ActiveRecorder:
    board = GradientBoard(watched, Gauge(load_kernels()), micro=micro)
    windows = Windows(every, first=writer.first_update)
    tally = Tally(watched, every * distributions) if distributions else None
    observer = Observer(watched, board, windows, writer, Unscaling(len(watched), scaler), tally)
    recorder = ActiveRecorder(watched, observer, writer)
    recorder.attach(optimizers)
    _open.append(weakref.ref(recorder))
    return recorder


def _optimizers(given: Any) -> list[Optimizer]:
    """One, several or none; a wrapper such as Accelerate's stands for the `.optimizer` in it."""
    if given is None:
        return []
    several = given if isinstance(given, list | tuple) else [given]
    unwrapped = [one if isinstance(one, Optimizer) else getattr(one, "optimizer", one) for one in several]
    for one in unwrapped:
        if not hasattr(one, "register_step_pre_hook"):
            raise WatchError(
                f"gradviz.watch was given a {type(one).__name__} as optimizer. "
                "Pass a torch.optim.Optimizer, a list of them, or none."
            )
    return cast("list[Optimizer]", unwrapped)


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise WatchError(f"gradviz.watch was given {name}={value!r}. It takes a whole number from 1 up.")


def _supersede(watched: WatchedParameters) -> None:
    """The same parameters are watched already (a notebook cell run twice): close that run, hooks never double."""
    _open[:] = [ref for ref in _open if (recorder := ref()) is not None and not recorder.closed]
    for recorder in [ref() for ref in _open]:
        if recorder is not None and recorder.watched.slot_of.keys() == watched.slot_of.keys():
            recorder.supersede()


def _open_writer(
    watched: WatchedParameters,
    run_dir: Any,
    name: str,
    settings: dict[str, Any],
    *,
    resume: Any,
    strict: bool,
) -> RunWriter:
    """A writer into the run to resume, else a new run, else a run in a fallback folder."""
    settings |= {"launch": this_launch(watched, name), "torch_version": torch.__version__}
    folder = default_folder() if run_dir is None else local_or_url(run_dir)
    if resume is not None:
        try:
            return _create(folder, name, watched, settings | {"resume": local_or_url(resume)})
        except GradvizError as error:
            if strict:
                raise
            warn(f"{error} Recording a new run instead.")
    try:
        return _create(folder, name, watched, settings)
    except RunFolderError as error:
        if strict:
            raise
        writer = _create(Path(tempfile.gettempdir()) / "gradviz_runs", name, watched, settings)
        warn(f"{error} Recording to {writer.path} instead.")
        return writer


def _create(folder: Path | str, name: str, watched: WatchedParameters, settings: dict[str, Any]) -> RunWriter:
    """A writer that closes the run by itself, at its next flush, once the model is gone."""
    created: list[weakref.ref[RunWriter]] = []

    def close_without_model() -> None:
        writer = created[0]() if created else None
        if writer is not None and next(watched.alive(), None) is None:
            writer.close(reason="the model was deleted")

    writer = RunWriter.create(folder, name, watched.layers, on_tick=close_without_model, **settings)
    created.append(weakref.ref(writer))
    if writer.remark:
        warn(writer.remark)
    return writer
