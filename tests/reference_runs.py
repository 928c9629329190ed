"""A slow, obvious training in float64 whose every gradient is known: the reference for analysis and figures.

Linear regression y = Xw + b with gradient accumulation, written with plain numpy, producing the frames that
`Run.gradients()` and `Run.events()` give. Nothing here is shared with gradviz but the names of the phases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradviz.schema import PHASES

Vector = NDArray[np.float64]
Gradients = dict[str, Vector | None]
STATISTICS = ("mean_abs", "l2", "max_abs", "zeros", "nonfinite")
MICRO_STATISTICS = ("micro_mean_abs", "micro_l2", "micro_max_abs", "micro_nonfinite", "cosine")


@dataclass
class ReferenceRun:
    """Rows as they come, and the exact gradients behind them: `micro[update][k-1][layer]` is g_k."""

    gradient_rows: list[dict[str, object]] = field(default_factory=list)
    event_rows: list[dict[str, object]] = field(default_factory=list)
    micro: dict[int, list[Gradients]] = field(default_factory=dict)
    layer_names: tuple[str, ...] = ()

    def gradients(self) -> pd.DataFrame:
        columns = ["event", "update", "micro_step", "phase", "layer", *STATISTICS, *MICRO_STATISTICS]
        frame = pd.DataFrame(self.gradient_rows, columns=columns)
        frame["phase"] = pd.Categorical(frame["phase"], categories=list(PHASES))
        frame["layer"] = pd.Categorical(frame["layer"], categories=list(self.layer_names))
        for name in ("nonfinite", "micro_nonfinite"):
            frame[name] = frame[name].astype("Int64")
        floats = [name for name in (*STATISTICS, *MICRO_STATISTICS) if "nonfinite" not in name]
        frame = frame.astype(dict.fromkeys(floats, np.float32))
        frame = frame.astype({"event": np.int64, "update": np.int32, "micro_step": np.int16})
        return frame.sort_values(["layer", "event"], kind="stable").reset_index(drop=True)

    def events(self) -> pd.DataFrame:
        columns = ["event", "update", "micro_step", "phase", "seconds", "loss", "lr"]
        frame = pd.DataFrame(self.event_rows, columns=columns)
        frame["phase"] = pd.Categorical(frame["phase"], categories=list(PHASES))
        return frame.astype({"event": np.int64, "seconds": float, "loss": float, "lr": float})

    def layers(self) -> pd.DataFrame:
        return pd.DataFrame({"layer_id": range(len(self.layer_names)), "layer": list(self.layer_names)})


def reference_run(
    windows: tuple[int, ...] = (4, 4, 4, 2),
    *,
    reset: str = "after_update",  # or "never", "every_micro_step"
    clip: float | None = None,
    poison: tuple[int, int] | None = None,  # (update, micro_step) whose loss is NaN
    unused: str | None = None,  # a layer that gets no gradient at all
    layers: tuple[str, ...] = ("first.weight", "first.bias", "second.weight"),
    seed: int = 0,
) -> ReferenceRun:
    """Train for one update a window. `second.weight` scales the output, so that every layer differs."""
    rng = np.random.default_rng(seed)
    run = ReferenceRun(layer_names=layers)
    weights = {name: rng.normal(size=3 if name == layers[0] else 1) for name in layers}
    truth = rng.normal(size=3)
    grad: Gradients = dict.fromkeys(layers)
    event = 0

    def look(
        update: int, micro_step: int, phase: str, own: Gradients | None, loss: float | None = None
    ) -> None:
        nonlocal event
        for name in layers:
            before = _minus(grad[name], own[name]) if own is not None else None
            row = _row(grad[name], own[name] if own is not None else None, before, phase)
            row |= {"event": event, "update": update, "micro_step": micro_step, "phase": phase, "layer": name}
            run.gradient_rows.append(row)
        scalars = {"seconds": event * 0.01, "loss": loss, "lr": 0.1 if phase == "update" else None}
        run.event_rows.append(
            {"event": event, "update": update, "micro_step": micro_step, "phase": phase, **scalars}
        )
        event += 1

    for update, length in enumerate(windows):
        run.micro[update] = []
        if reset == "every_micro_step":  # zero_grad at the top of each iteration
            grad = dict.fromkeys(layers)
        look(update, 0, "reset", None)
        for micro_step in range(1, length + 1):
            if reset == "every_micro_step" and micro_step > 1:
                grad = dict.fromkeys(layers)
                look(update, micro_step - 1, "edit", None)
            inputs = rng.normal(size=(8, 3))
            labels = inputs @ truth + 0.3 * rng.normal(size=8)
            loss, own = _backward(weights, layers, inputs, labels, length)
            if poison == (update, micro_step):
                loss, own = np.nan, {name: np.full_like(weights[name], np.nan) for name in layers}
            if unused is not None:
                own[unused] = None
            run.micro[update].append(own)
            grad = {name: _plus(grad[name], own[name]) for name in layers}
            look(update, micro_step, "micro_step", own, loss)
        if clip is not None:
            grad = _clipped(grad, clip)
        look(update, length, "update", None)
        for name in layers:
            if grad[name] is not None:
                weights[name] = weights[name] - 0.05 * grad[name]
        if reset == "after_update":
            grad = dict.fromkeys(layers)
    look(len(windows), 0, "reset", None)
    return run


def _backward(
    weights: dict[str, Vector], layers: tuple[str, ...], inputs: Vector, labels: Vector, length: int
) -> tuple[float, Gradients]:
    """Loss mean((s (Xw + b + rest) - y)^2) / n and its gradients, by hand. Further layers act like a bias."""
    weight, scale = weights[layers[0]], 1 + weights[layers[-1]][0]
    hidden = inputs @ weight + sum(weights[name][0] for name in layers[1:-1])
    error = scale * hidden - labels
    own: Gradients = {name: np.array([2 * np.mean(error * scale) / length]) for name in layers}
    own[layers[0]] = 2 * scale * inputs.T @ error / len(labels) / length
    own[layers[-1]] = np.array([2 * np.mean(error * hidden) / length])
    return float(np.mean(error**2) / length), own


def _row(gradient: Vector | None, own: Vector | None, before: Vector | None, phase: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys((*STATISTICS, *MICRO_STATISTICS))
    if gradient is not None:
        row |= _statistics(gradient)
        row["zeros"] = float(np.mean(gradient == 0)) if phase == "update" else None
    if own is not None:
        row |= {f"micro_{name}": value for name, value in _statistics(own).items()}
        if before is not None and np.linalg.norm(before) > 0:
            row["cosine"] = float(before @ own / np.linalg.norm(before) / np.linalg.norm(own))
    return row


def _statistics(gradient: Vector) -> dict[str, object]:
    return {
        "mean_abs": float(np.mean(np.abs(gradient))),
        "l2": float(np.sqrt(np.sum(gradient**2))),
        "max_abs": float(np.max(np.abs(gradient))),
        "nonfinite": int(np.sum(~np.isfinite(gradient))),
    }


def _plus(gradient: Vector | None, own: Vector | None) -> Vector | None:
    if gradient is None or own is None:
        return own if gradient is None else gradient
    return gradient + own


def _minus(gradient: Vector | None, own: Vector | None) -> Vector | None:
    return None if gradient is None or own is None else gradient - own


def _clipped(grad: Gradients, limit: float) -> Gradients:
    norm = np.sqrt(sum(np.sum(part**2) for part in grad.values() if part is not None))
    factor = min(1.0, limit / norm)
    return {name: None if part is None else part * factor for name, part in grad.items()}
