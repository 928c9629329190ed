"""`verify_accumulation`: does a window of micro-steps leave the gradient of one large batch?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gradviz.errors import VerificationError
from gradviz.recording.model_state import ModelState
from gradviz.recording.verification_causes import Comparison, compare, reasons
from gradviz.recording.verification_report import AccumulationReport, Cause
from gradviz.recording.verification_runs import Trial, attempt

LeaveGradients = Callable[[], object]

_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_TF32 = 5e-3


def verify_accumulation(
    model: nn.Module,
    accumulate: LeaveGradients,
    reference: LeaveGradients,
    *,
    tolerance: float | None = None,
) -> AccumulationReport:
    """Compare the gradient that a window of micro-steps leaves in `model` with that of one large batch.

    `accumulate` is a window of your own loop and `reference` one backward of the same samples at once; both end
    before `optimizer.step()`. Each is called without arguments, from the same parameters, buffers and
    random numbers, and with no gradients to begin with. Where they differ they are called again with BatchNorm
    or dropout quieted, to see if that is why: they must see the same samples at each call. Afterwards
    parameters, buffers, gradients, training mode and random numbers are as they were, bit by bit, also
    when a callable raises. Do it before `gradviz.watch`, or its recorder sees these backward passes too.

    `tolerance` on the relative error of each layer, and of all together. Default, by the lowest precision in
    which gradients were computed: float64 1e-8, float32 1e-4 (5e-3 with TF32), float16 1e-2, bfloat16 5e-2.

    Raises `VerificationError` where a callable leaves no gradient.
    """
    state = ModelState(model)
    verification = _Verification(model, state, accumulate, reference)
    try:
        return verification.report(tolerance)
    finally:
        state.restore()


class _Verification:
    def __init__(
        self, model: nn.Module, state: ModelState, accumulate: LeaveGradients, reference: LeaveGradients
    ) -> None:
        self._model, self._state = model, state
        self._accumulate, self._reference = accumulate, reference

    def report(self, tolerance: float | None) -> AccumulationReport:
        """Run both, compare, and look for the causes."""
        found, reference = self._both()
        _need_gradients(found, "accumulate")
        _need_gradients(reference, "reference")
        if tolerance is None:
            tolerance = default_tolerance(self._model, found.dtypes | reference.dtypes)
        comparison = compare(found.gradients, reference.gradients)
        ok = comparison.within(tolerance)
        causes = [] if ok else self._causes(found, reference, tolerance, comparison)
        return AccumulationReport(
            ok,
            tolerance,
            len(found.shares),
            comparison.error,
            comparison.cosine,
            comparison.factor,
            comparison.layers,
            tuple(causes),
        )

    def _both(self, quieted: Sequence[nn.Module] = ()) -> tuple[Trial, Trial]:
        reference = attempt(self._model, self._state, self._reference, quieted=quieted)
        return attempt(self._model, self._state, self._accumulate, quieted=quieted), reference

    def _causes(
        self, found: Trial, reference: Trial, tolerance: float, comparison: Comparison
    ) -> list[Cause]:
        plain = reasons(found, reference, tolerance)
        if plain is not None:
            return plain
        random = found.random or reference.random
        normalised = sorted(found.batchnorm | reference.batchnorm)
        for without in _experiments(bool(normalised), random):
            error, others = self._without(without, tolerance)
            if others is not None:
                evidence = {"error": comparison.error, "error_without": error}
                modules = {"batchnorm": normalised, "dropout": _dropouts(self._model)}
                own = [Cause(code, {**evidence, "modules": modules[code]}) for code in without]
                return own + others
        return [Cause("unexplained", {"error": comparison.error, "random": random, "batchnorm": normalised})]

    def _without(self, codes: Sequence[str], tolerance: float) -> tuple[float, list[Cause] | None]:
        """The error with these quieted, and the reasons for what is left of it."""
        quieted = [module for code in codes for module in _quieted_by(self._model, code)]
        try:
            found, reference = self._both(quieted)
        except Exception:  # a model may not be able to train like this: nothing is learned then
            return float("nan"), None
        return compare(found.gradients, reference.gradients).error, reasons(found, reference, tolerance)


def _experiments(normalised: bool, random: bool) -> Iterator[list[str]]:
    if random:
        yield ["dropout"]
    if normalised:
        yield ["batchnorm", "dropout"] if random else ["batchnorm"]


def _quieted_by(model: nn.Module, code: str) -> list[nn.Module]:
    """BatchNorm layers; or all the others, since dropout may be a function (RNNs train only in training mode)."""
    if code == "batchnorm":
        return [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [module for module in model.modules() if not isinstance(module, _BatchNorm | nn.RNNBase)]


def _dropouts(model: nn.Module) -> list[str]:
    kinds = nn.modules.dropout._DropoutNd
    return [name for name, module in model.named_modules() if isinstance(module, kinds) and module.p > 0]


def _need_gradients(trial: Trial, name: str) -> None:
    if any(gradient is not None and bool(gradient.any()) for gradient in trial.gradients.values()):
        return
    raise VerificationError(
        f"`{name}` left no gradient in the model, after {len(trial.shares)} backward passes. It should end before "
        "zero_grad(), and use the model that was given."
    )


def default_tolerance(model: nn.Module, dtypes: set[torch.dtype]) -> float:
    """The tolerance of the lowest precision among `dtypes`."""
    tolerance = max(_TOLERANCES.get(dtype, 1e-4) for dtype in dtypes)
    rounded = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    return (
        max(tolerance, _TF32) if on_gpu and rounded and tolerance >= _TOLERANCES[torch.float32] else tolerance
    )
