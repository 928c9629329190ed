"""Every check there is, by the code of what it finds, in the order in which a person should read findings.

A loop that is broken comes first, for it makes everything after it look odd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gradviz.analysis.story import RunStory
from gradviz.diagnostics.check_amp import check_amp_overflow, check_scale_inside_window
from gradviz.diagnostics.check_clipping import check_clip_inside_window, check_clip_often, check_clip_scaled
from gradviz.diagnostics.check_flow import check_exploding, check_vanishing
from gradviz.diagnostics.check_loss import check_loss_not_divided, check_unequal_tokens
from gradviz.diagnostics.check_noise import check_conflict, check_noise_dominated, check_over_accumulation
from gradviz.diagnostics.check_outliers import check_gradient_spike, check_micro_outlier
from gradviz.diagnostics.check_parameters import (
    check_batchnorm,
    check_dead_layer,
    check_dead_units,
    check_frozen,
    check_unused,
)
from gradviz.diagnostics.check_precision import check_low_precision, check_nonfinite, check_update_swallowed
from gradviz.diagnostics.check_resets import (
    check_not_in_optimizer,
    check_not_reset,
    check_reset_inside_window,
    check_step_without_gradient,
)
from gradviz.diagnostics.check_steps import check_update_ratio_high, check_update_ratio_low
from gradviz.diagnostics.check_windows import (
    check_duplicate_micro_batch,
    check_lr_inside_window,
    check_short_window,
    check_step_inside_window,
    check_tail_dropped,
    check_window_overrun,
)
from gradviz.diagnostics.findings import Finding

Check = Callable[[RunStory], list[Finding]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "not-reset": check_not_reset,
        "not-in-optimizer": check_not_in_optimizer,
        "reset-inside-window": check_reset_inside_window,
        "step-without-gradient": check_step_without_gradient,
        "step-inside-window": check_step_inside_window,
        "duplicate-micro-batch": check_duplicate_micro_batch,
        "lr-inside-window": check_lr_inside_window,
        "short-window": check_short_window,
        "window-overrun": check_window_overrun,
        "tail-dropped": check_tail_dropped,
        "clip-inside-window": check_clip_inside_window,
        "clip-scaled": check_clip_scaled,
        "scale-inside-window": check_scale_inside_window,
        "amp-overflow": check_amp_overflow,
        "frozen": check_frozen,
        "unused": check_unused,
        "batchnorm": check_batchnorm,
        "loss-not-divided": check_loss_not_divided,
        "unequal-tokens": check_unequal_tokens,
        "nonfinite": check_nonfinite,
        "vanishing": check_vanishing,
        "exploding": check_exploding,
        "dead-layer": check_dead_layer,
        "dead-units": check_dead_units,
        "low-precision": check_low_precision,
        "update-swallowed": check_update_swallowed,
        "gradient-spike": check_gradient_spike,
        "micro-outlier": check_micro_outlier,
        "update-ratio-high": check_update_ratio_high,
        "update-ratio-low": check_update_ratio_low,
        "clip-often": check_clip_often,
        "over-accumulation": check_over_accumulation,
        "noise-dominated": check_noise_dominated,
        "conflict": check_conflict,
    }
)
