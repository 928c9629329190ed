"""The animals of the zoo, and what each must show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import gradviz
from gradviz.diagnostics import Diagnosis, examine
from tests.zoo import healthy_loops, sick_loops, sick_models

Training = Callable[[Path], None]


@dataclass(frozen=True)
class Sick:
    """A training that must raise `code` at `level`; at `layers` if any are given.

    `also` are further warnings and errors that follow from the same fault.
    """

    training: Training
    code: str
    level: str
    layers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


BODY = ("0.weight", "0.bias", "2.weight", "2.bias")
OUTLIERS = ("gradient-spike", "micro-outlier")

SICK: tuple[Sick, ...] = (
    Sick(sick_loops.never_reset, "not-reset", "error", (*BODY, "4.weight", "4.bias")),
    Sick(sick_loops.half_reset, "not-reset", "error", BODY),
    Sick(sick_loops.head_added_later, "not-in-optimizer", "error", ("2.weight", "2.bias")),
    Sick(sick_loops.reset_in_the_micro_loop, "reset-inside-window", "error"),
    Sick(sick_loops.reset_before_step, "step-without-gradient", "error"),
    Sick(sick_loops.step_in_the_micro_loop, "step-inside-window", "error"),
    Sick(sick_loops.same_batch_again, "duplicate-micro-batch", "error"),
    Sick(sick_loops.scheduler_in_the_micro_loop, "lr-inside-window", "error"),
    Sick(sick_loops.tail_divided_by_n, "short-window", "warning"),
    Sick(sick_loops.tail_runs_over, "window-overrun", "error"),
    Sick(sick_loops.tail_thrown_away, "tail-dropped", "warning"),
    Sick(sick_loops.clip_in_the_micro_loop, "clip-inside-window", "error", also=("clip-often",)),
    Sick(sick_loops.clip_before_unscale, "clip-scaled", "error", also=("clip-often", "update-ratio-low")),
    Sick(sick_loops.scale_set_in_the_micro_loop, "scale-inside-window", "error"),
    Sick(sick_loops.overflows, "amp-overflow", "warning"),
    Sick(sick_models.frozen_body, "frozen", "info", ("0.weight", "0.bias")),
    Sick(sick_models.detached_branch, "unused", "warning", ("cut.weight", "cut.bias")),
    Sick(sick_models.batchnorm_of_four, "batchnorm", "warning", ("1",)),
    Sick(sick_loops.loss_summed_and_clipped, "loss-not-divided", "warning", also=("clip-often",)),
    Sick(sick_loops.loss_summed, "loss-not-divided", "info"),
    Sick(sick_loops.mean_of_unequal_lengths, "unequal-tokens", "warning"),
    Sick(sick_models.nan_in_the_data, "nonfinite", "error"),
    Sick(sick_models.root_of_zero, "nonfinite", "error", ("stem.weight",)),
    Sick(sick_models.deep_sigmoid, "vanishing", "error", ("0.weight",), ("update-ratio-low",)),
    Sick(sick_models.deep_and_large, "exploding", "warning", ("20.weight",), ("update-ratio-low",)),
    Sick(sick_models.chaotic_tanh, "exploding", "warning", ("0.weight",), OUTLIERS),
    Sick(sick_models.diverging, "exploding", "error", also=("update-ratio-high", *OUTLIERS)),
    Sick(sick_models.dead_branch, "dead-layer", "warning", ("dead.weight", "dead.bias")),
    Sick(sick_models.dead_half, "dead-units", "info", ("0.weight", "0.bias", "2.weight")),
    Sick(sick_models.bf16_sums, "low-precision", "warning", also=("update-swallowed",)),
    Sick(sick_models.bf16_weights, "update-swallowed", "error", also=("update-ratio-low",)),
    Sick(sick_models.spike, "gradient-spike", "warning"),
    Sick(sick_models.broken_micro_batches, "micro-outlier", "warning", also=("gradient-spike",)),
    Sick(sick_models.huge_updates, "update-ratio-high", "warning", also=("exploding", *OUTLIERS)),
    Sick(sick_models.tiny_updates, "update-ratio-low", "warning"),
    Sick(sick_loops.clips_nearly_always, "clip-often", "warning"),
    Sick(sick_models.window_too_large, "over-accumulation", "info"),
    Sick(sick_models.nearly_all_noise, "noise-dominated", "info"),
    Sick(sick_models.sorted_by_class, "conflict", "warning"),
)  # fmt: skip

HEALTHY: tuple[Training, ...] = tuple(healthy_loops.TRAININGS)


def diagnosed(training: Training, folder: Path, seed: int) -> Diagnosis:
    """Train on one thread with this seed, and examine what was recorded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    try:
        training(folder)
    finally:
        torch.set_num_threads(threads)
    (path,) = (run.parent for run in folder.glob("*/run.json"))
    return examine(gradviz.open_run(path))
