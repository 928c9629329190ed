"""Two gradients compared, and the reasons that follow from the numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradviz.recording.verification_report import Cause, LayerDifference
from gradviz.recording.verification_runs import Share, Trial

_SLACK = 1e-3  # of a factor
_SMALL_LAYER = 1e-2  # of the average of a layer of its size
_EQUATIONS_AN_UNKNOWN = 4  # sampled elements for each weight that is solved for

Gradients = Mapping[str, Tensor | None]


@dataclass(frozen=True)
class Comparison:
    """How far one set of gradients is from another: of all layers together, and of each, worst first."""

    error: float
    cosine: float
    factor: float
    layers: tuple[LayerDifference, ...]

    def within(self, tolerance: float) -> bool:
        """Whether neither the whole nor any layer differs by more."""
        return self.error <= tolerance and all(layer.error <= tolerance for layer in self.layers)


def compare(gradients: Gradients, reference: Gradients, *, divided_by: float = 1.0) -> Comparison:
    """Compare `gradients` / `divided_by` with `reference`, in float64; None counts as zeros."""
    products = {
        name: found
        for name in reference
        if (found := _products(gradients[name], reference[name], divided_by)) is not None
    }
    whole = torch.stack([found for found, _ in products.values()]).sum(0)
    average = float(whole[1]) / sum(numel for _, numel in products.values())
    layers = [
        _difference(name, found, least=_SMALL_LAYER**2 * average * numel)
        for name, (found, numel) in products.items()
    ]
    layers.sort(key=lambda layer: -layer.error if math.isfinite(layer.error) else -math.inf)
    total = _difference("", whole, least=0.0)
    return Comparison(total.error, total.cosine, total.factor, tuple(layers))


def _products(own: Tensor | None, other: Tensor | None, divided_by: float) -> tuple[Tensor, int] | None:
    """|own|^2, |other|^2, own . other and |own - other|^2, and the number of elements."""
    known = own if own is not None else other
    if known is None:
        return None
    zeros = torch.zeros(1, dtype=torch.float64, device=known.device)
    left = zeros if own is None else own.double().reshape(-1) / divided_by
    right = zeros if other is None else other.double().reshape(-1)
    values = [(left * left).sum(), (right * right).sum(), (left * right).sum(), (left - right).square().sum()]
    return torch.stack(values).cpu(), known.numel()


def _difference(name: str, products: Tensor, *, least: float) -> LayerDifference:
    own, other, both, apart = products.tolist()
    size = math.sqrt(max(other, least))
    error = math.sqrt(apart) / size if size else (0.0 if apart == 0 else math.inf)
    cosine = both / math.sqrt(own * other) if own and other else math.nan
    return LayerDifference(name, error, cosine, both / other if other else math.nan)


def reasons(found: Trial, reference: Trial, tolerance: float) -> list[Cause] | None:
    """Why `found` is not `reference`, as far as it follows from what both runs left; None where it does not."""
    nonfinite = _nonfinite(found, "accumulate") or _nonfinite(reference, "reference")
    if nonfinite:
        return [nonfinite]
    comparison = compare(found.gradients, reference.gradients)
    if comparison.within(tolerance):
        return []
    scaled = _scaled(found, reference, comparison.factor, tolerance)
    if scaled and scaled[0].code != "scaled":
        return scaled
    inside = _changed_inside(found, reference, tolerance)
    if inside:
        return inside
    read = _weights_read(found.shares, reference.shares)
    if scaled:  # weights cannot be solved for where all gradients point the same way
        return _weighed(found, reference, [read], tolerance) or scaled
    solved = _weights_solved(found.shares, reference.sample)
    return _weighed(found, reference, [read, solved], tolerance) or _other_samples(found, reference)


def _nonfinite(trial: Trial, name: str) -> Cause | None:
    for layer, gradient in trial.gradients.items():
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            return Cause("nonfinite", {"callable": name, "layer": layer})
    return None


def _scaled(found: Trial, reference: Trial, factor: float, tolerance: float) -> list[Cause] | None:
    """Gradients that are the reference but for a factor."""
    if not factor or not compare(found.gradients, reference.gradients, divided_by=factor).within(tolerance):
        return None
    evidence = {"factor": factor, "micro_steps": len(found.shares)}
    return _scaling(factor, _micro_steps(found, reference), tolerance) or [Cause("scaled", evidence)]


def _micro_steps(found: Trial, reference: Trial) -> float:
    """Backward passes for each one of the reference."""
    return len(found.shares) / max(len(reference.shares), 1)


def _scaling(factor: float, micro_steps: float, tolerance: float) -> list[Cause]:
    slack = max(_SLACK, 3 * tolerance)
    evidence = {"factor": factor, "micro_steps": round(micro_steps)}
    if abs(factor - 1) <= slack:
        return []
    if micro_steps > 1 and math.isclose(factor, micro_steps, rel_tol=slack):
        return [Cause("not-divided", evidence)]
    if micro_steps > 1 and math.isclose(factor, 1 / micro_steps, rel_tol=slack):
        return [Cause("divided-twice", evidence)]
    return [Cause("scaled", evidence)]


def _changed_inside(found: Trial, reference: Trial, tolerance: float) -> list[Cause] | None:
    """Gradients that were changed between two backward passes: right once what was lost is added again."""
    pairs = zip(found.shares, found.shares[1:], strict=False)
    changed = [k for k, (one, next_) in enumerate(pairs, start=2) if not torch.equal(one.after, next_.before)]
    if not changed:
        return None
    whole = _sum(share.added for share in found.shares)
    factor = float(whole @ reference.sample / (reference.sample @ reference.sample))
    if not _near(whole / factor, reference.sample, tolerance):
        return None
    wiped = all(not found.shares[k - 1].before.any() for k in changed)
    code = "reset-inside-window" if wiped else "edited-inside-window"
    scaling = _scaling(factor, _micro_steps(found, reference), tolerance)
    return [Cause(code, {"before_micro_steps": changed}), *scaling]


def _weighed(
    found: Trial, reference: Trial, candidates: list[list[float] | None], tolerance: float
) -> list[Cause] | None:
    """Micro-steps that are right, but do not weigh as they should: the first of the candidates that explains it."""
    if len(found.shares) < 2:
        return None
    whole = _sum(share.added for share in found.shares)
    later = float(found.sample @ whole / (whole @ whole))  # what was done to all of it in the end
    if not _near(whole * later, found.sample, tolerance):
        return None
    for weights in candidates:
        if (
            weights
            and max(weights) > min(weights) * (1 + _SLACK)
            and _explain(weights, found, reference, tolerance)
        ):
            cause = Cause("unequal-tokens", _unequal(found.shares, [weight * later for weight in weights]))
            mean = _mean_weight(found.shares, weights)
            scaling = (
                [] if mean is None else _scaling(mean * later, _micro_steps(found, reference), tolerance)
            )
            return [cause, *scaling]
    return None


def _explain(weights: list[float], found: Trial, reference: Trial, tolerance: float) -> bool:
    """Whether micro-steps that are divided by these weights add up to the reference."""
    corrected = _sum(share.added / weight for share, weight in zip(found.shares, weights, strict=True))
    return _near(corrected, reference.sample, tolerance)


def _unequal(shares: list[Share], weights: list[float]) -> dict[str, object]:
    return {
        "weights": weights,
        "elements": [share.elements for share in shares],
        "spread": max(weights) / min(weights),
        "heavy": weights.index(max(weights)) + 1,
        "light": weights.index(min(weights)) + 1,
    }


def _mean_weight(shares: list[Share], weights: list[float]) -> float | None:
    """What an element of the window weighs on average, over what it weighs in the reference."""
    if not _count(shares):
        return None
    counts = [share.elements or 0 for share in shares]
    return sum(weight * count for weight, count in zip(weights, counts, strict=True)) / sum(counts)


def _weights_read(shares: list[Share], references: list[Share]) -> list[float] | None:
    """What an element of each micro-step weighs, over what it weighs in the reference, from the losses' graphs."""
    own = [share.weight for share in shares if share.weight]
    other = {share.weight for share in references if share.weight}
    if len(own) < len(shares) or len(other) != 1:
        return None
    (reference,) = other
    return [weight / reference for weight in own]


def _weights_solved(shares: list[Share], reference: Tensor) -> list[float] | None:
    """The same without the graphs: weights with which the micro-gradients add up to the reference."""
    basis = torch.stack([share.added for share in shares], 1)
    enough = int((basis != 0).any(1).sum()) >= _EQUATIONS_AN_UNKNOWN * len(shares)
    if not enough or not bool(torch.isfinite(basis).all()):
        return None
    inverse = (torch.linalg.pinv(basis) @ reference).tolist()
    return [1 / number for number in inverse] if all(number > 0 for number in inverse) else None


def _other_samples(found: Trial, reference: Trial) -> list[Cause] | None:
    own, other = _count(found.shares), _count(reference.shares)
    if not own or not other or own % other == 0 or other % own == 0:
        return None  # a multiple may be the same samples, with rows here and entries there as elements
    return [Cause("other-samples", {"accumulated": own, "reference": other})]


def _count(shares: list[Share]) -> int | None:
    """How many elements count in these backward passes together."""
    counts = [share.elements for share in shares if share.elements is not None]
    return sum(counts) if len(counts) == len(shares) else None


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).sum(0)


def _near(own: Tensor, other: Tensor, tolerance: float) -> bool:
    return bool((own - other).norm() <= tolerance * other.norm())
