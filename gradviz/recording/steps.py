"""How far an update moved the weights: ||w|| before it and ||dw||, a layer, without a copy of the model.

Both are taken on a fixed sample: blocks of neighbouring elements spread over the layer, at most 16,384
of them and fewer where there are many layers, the whole layer where it is no larger. Nothing here waits
for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD, Optimizer

from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.pieces import is_dense
from gradviz.recording.step_samples import BLOCK, FloatSamples, load_step_kernels
from gradviz.schema import SQUARES, STEP_SQUARES, UNCHANGED, WEIGHT_SQUARES

LARGEST_SAMPLE = 16_384  # elements a layer
ALL_SAMPLES = 2**20  # elements, of all layers together
HALVES = (torch.float16, torch.bfloat16)

Sums = NDArray[np.float64]
Group = tuple[torch.device, torch.dtype]
Norms = tuple[list[int], list[float], Tensor]  # slots, numel / sampled elements, what `_norms` gives
Member = tuple[int, Tensor, Tensor | None]  # slot, weight, gradient where it is compared


class StepGauge:
    """Samples the weights before an update and again after it."""

    def __init__(self, watched: WatchedParameters) -> None:
        self._watched, self._references = watched, watched.references
        self._size = max(BLOCK, min(LARGEST_SAMPLE, ALL_SAMPLES // max(1, len(watched)) // BLOCK * BLOCK))
        kernels = load_step_kernels()
        self._fast = None if kernels is None else FloatSamples(watched.references, self._size, kernels)
        self._before: dict[Group, tuple[list[int], Tensor, Tensor | None]] = {}

    def before(self, slots: list[int], exact: Set[int] = frozenset()) -> None:
        """An update begins: keep the samples of the weights; of the `exact` slots only their norm is asked."""
        self._before = {}
        slots = slots if self._fast is None else self._fast.before(slots, exact)
        for group, members in self._grouped(slots).items():
            samples = [self._sample(weight) for _, weight, _ in members]
            gradients = [self._sample(gradient) for _, _, gradient in members if gradient is not None]
            moved = torch.cat(gradients) != 0 if group[1] in HALVES else None
            self._before[group] = [slot for slot, _, _ in members], torch.cat(samples), moved

    def after(self) -> Callable[[Sums], None] | None:
        """The update is over: what writes the three columns into its sums, on the writer's thread."""
        norms = self._moved() if self._before else []
        write = None if self._fast is None else self._fast.after()
        return partial(_write, norms, write) if norms or write is not None else None

    @torch.no_grad()
    def _moved(self) -> list[Norms]:
        taken, self._before = self._before, {}
        norms: list[Norms] = []
        for slots, before, moved in taken.values():
            weights = [weight for slot in slots if (weight := self._weight(slot)) is not None]
            if len(weights) == len(slots):
                samples = [self._sample(weight) for weight in weights]
                shares = [w.numel() / max(1, s.numel()) for w, s in zip(weights, samples, strict=True)]
                norms.append((slots, shares, _norms(before, samples, moved)))
        return norms

    def _grouped(self, slots: list[int]) -> dict[Group, list[Member]]:
        groups: dict[Group, list[Member]] = {}
        for slot in slots:
            weight = self._weight(slot)
            if weight is None or not weight.numel():
                continue
            half = weight.dtype in HALVES  # whether each element moved is asked only of these
            gradient = self._gradient(slot) if half else None
            if not half or (gradient is not None and gradient.stride() == weight.stride()):
                groups.setdefault((weight.device, weight.dtype), []).append((slot, weight, gradient))
        return groups

    def _weight(self, slot: int) -> Tensor | None:
        parameter = self._references[slot]()
        return None if parameter is None or parameter.is_complex() else self._watched.weight(slot, parameter)

    def _gradient(self, slot: int) -> Tensor | None:
        parameter = self._references[slot]()
        gradient = None if parameter is None else parameter.grad
        if gradient is not None and self._watched.sharded:
            gradient = self._watched.part_of(slot, gradient)
        return gradient if gradient is not None and gradient.layout is torch.strided else None

    def _sample(self, x: Tensor) -> Tensor:
        numel, x = x.numel(), x.detach()
        if not is_dense(x):  # its first rows: a view of a larger tensor is never flattened whole
            return x[: max(1, self._size * len(x) // numel)].reshape(-1)[: self._size]
        if numel <= self._size:
            return x.as_strided((numel,), (1,))
        blocks = self._size // BLOCK
        return x.as_strided((blocks, BLOCK), (numel // blocks, 1)).reshape(-1)


def _norms(before: Tensor, samples: list[Tensor], moved: Tensor | None) -> Tensor:
    """[2 or 4, slots]: L2 of the weights, L2 of the step; and of elements with a gradient, all and unchanged ones."""
    after, sizes = torch.cat(samples), [sample.numel() for sample in samples]
    wide, step = before.float(), after.float() - before.float()
    if before.dtype is torch.float64:
        wide, step = before, after - before
    rows = [torch.stack(torch._foreach_norm(list(values.split(sizes)))) for values in (wide, step)]
    for counted in [] if moved is None else [moved, moved & (after == before)]:
        rows.append(torch.stack(torch._foreach_norm(list(counted.float().split(sizes)), 1)))
    return torch.stack(rows)


def _write(norms: list[Norms], write: Callable[[Sums], None] | None, sums: Sums) -> None:
    if write is not None:
        write(sums)
    for slots, shares, numbers in norms:
        fetched = numbers.double().cpu().numpy()
        sums[slots, WEIGHT_SQUARES] = fetched[0] ** 2 * shares
        sums[slots, STEP_SQUARES] = fetched[1] ** 2 * shares
        if len(fetched) > 2:
            with np.errstate(invalid="ignore"):
                sums[slots, UNCHANGED] = fetched[3] / fetched[2]  # NaN without any gradient


def exact_steps(optimizer: Optimizer, watched: WatchedParameters) -> dict[int, float]:
    """Slot -> learning rate where dw = -lr g exactly: plain SGD on single or double precision.

    Momentum and weight decay must be 0; the others are sampled.
    """
    if type(optimizer) is not SGD:
        return {}
    rates: dict[int, float] = {}
    slot_of, sharded = watched.slot_of, watched.sharded
    for group in optimizer.param_groups:
        rate = group["lr"]
        if group.get("momentum") or group.get("weight_decay") or isinstance(rate, Tensor):
            continue
        for parameter in group["params"]:
            slot = slot_of.get(id(parameter))
            if slot is None or parameter.dtype in HALVES:
                continue
            if not sharded or _is_measured(slot, parameter, watched):
                rates[slot] = float(rate)
    return rates


def _is_measured(slot: int, parameter: Tensor, watched: WatchedParameters) -> bool:
    """Whether the gradient of `slot` is known here; of none the step is 0."""
    gradient = parameter.grad
    return gradient is None or watched.part_of(slot, gradient) is not None


def write_exact_steps(sums: Sums, rates: dict[int, float]) -> None:
    """||dw||^2 = lr^2 ||g||^2 for the slots in `rates`."""
    slots = list(rates)
    with np.errstate(invalid="ignore"):  # a rate of 0 times an infinite gradient: NaN, as the weights become
        sums[slots, STEP_SQUARES] = np.square(list(rates.values())) * sums[slots, SQUARES]
