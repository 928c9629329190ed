"""The numbers of every watched gradient, one row a slot: as last looked at, and this backward's own share.

This is the hot path: next to a real backward every call is a cold one. A large gradient is measured as it
passes; small ones, for which the call costs more than the reading, when the backward is over.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradviz.recording.amp import Unscaling, unscaled
from gradviz.recording.assembly import assembled, assembled_backward, finished
from gradviz.recording.deductions import settle_repeated, were_reset
from gradviz.recording.device import DeviceRows
from gradviz.recording.moments import Once, Sums
from gradviz.recording.parameters import WatchedParameters
from gradviz.recording.small_gradients import small_ones
from gradviz.recording.statistics import WIDTH, Gauge, measure_on_device
from gradviz.schema import NONFINITE, SQUARES, Scalar

Rows = NDArray[np.float64]
Arrival = tuple[int, Tensor | None]  # slot; and a small gradient itself
HALVES = {"float16", "bfloat16"}  # p.grad is rounded too coarsely for norms to yield a cosine


class GradientBoard:
    """What is known of each `p.grad`. Keeps numbers, identities and versions, of gradients only small ones a while."""

    def __init__(self, watched: WatchedParameters, gauge: Gauge, *, micro: bool = True) -> None:
        self._watched, self._gauge, self._micro = watched, gauge, micro
        self._references, self._averages = watched.references, watched.averages
        self._arrivals: list[Arrival] = []  # in this backward
        self.start()

    def start(self) -> None:
        """Know nothing yet of any slot there is; again when there are more of them, between two windows."""
        watched, count = self._watched, len(self._watched)
        self._none = np.zeros((count, WIDTH))
        self._none[:, NONFINITE] = -1
        self._numbers = np.concatenate([self._none, self._none])
        # of g_k, and of p.grad as it is
        self._shares, self._state = self._numbers[:count], self._numbers[count:]
        self._before = self._none  # of p.grad before this backward: G_{k-1}; never written to
        self._rounded = [layer.layer_id for layer in watched.layers if layer.dtype in HALVES]
        self._grads: list[weakref.ref[Tensor] | None] = [None] * count
        self._sharded = watched.sharded
        self._versions = [-1] * count
        self._arrived: dict[int, tuple[int, int]] = {}  # slot -> address and version of a large gradient
        self._ahead: dict[int, int] = {}  # slot -> version of p.grad once it is the G_k already measured
        self._averaged = False  # ranks average their gradients after ours was measured, and leave no trace
        self._changed: list[int] = []  # in this backward
        self._kept: dict[int, Rows] = {}  # of slots whose optimizer stepped inside this backward
        self._fired: list[int] = []  # slots in firing order
        self._small = small_ones(watched.numels)
        self._arrivals.clear()
        self._device = DeviceRows()

    def begin(self, slots: Iterable[int], *, fresh: bool) -> bool:
        """Look before a backward: what stands in `p.grad` now is G_{k-1}. Returns whether its window saw it edited."""
        self._averaged = self._averages(fresh)
        changed = self.look(slots, fresh=fresh)
        edited = bool(changed) and not fresh and self._differs(changed)
        if changed:
            self._before = self._state.copy()
        self._shares[:] = self._none
        self._fired = []
        self._arrivals.clear()
        if self._device.state or self._device.micro:
            self._device.begin()
        return edited

    def see(self, slot: int, gradient: Tensor) -> None:
        """This backward's own gradient, not yet in `p.grad`. A large one is measured here: to keep it costs a copy.

        Where `p.grad` stands, G_k is measured along with it: torch reads both next, so the pass costs no
        memory traffic of its own.
        """
        self._arrivals.append((slot, None))
        part = self._watched.part_of(slot, gradient) if self._sharded else gradient
        if part is None or not self._micro:
            return
        parameter = self._references[slot]()
        if not part.is_cpu:
            self._device.micro[slot] = measure_on_device(part)
        elif self._small[slot] or parameter is None or len(parameter._backward_hooks) != 1:  # type: ignore[arg-type]
            self._gauge.measure(part, self._shares, slot)  # a hook after ours may change it
        else:
            self._see_large(slot, part, parameter)

    def keeper(self, slot: int) -> Callable[[tuple[int, Tensor]], None] | None:
        """What takes a small gradient in the place of `see`: on the CPU, and where no hook comes after ours."""
        return self._arrivals.append if self._micro and self._small[slot] and not self._sharded else None

    def _see_large(self, slot: int, gradient: Tensor, parameter: Tensor) -> None:
        self._arrived.pop(slot, None)
        # such hooks come after the gradient, and may write through `p.grad.data` without a trace
        quiet = not parameter._post_accumulate_grad_hooks
        standing = parameter.grad if quiet and not self._averaged else None  # what the gradient is added to
        if standing is not None and self._gauge.measure_pair(
            gradient, standing, self._shares, self._state, slot
        ):
            self._versions[slot] = -1  # the row is no longer that of p.grad as it stands
            # one more if it is added in place, and nothing else happens
            self._ahead[slot] = standing._version + 1
        elif self._gauge.measure(gradient, self._shares, slot) and quiet:
            self._arrived[slot] = (gradient.data_ptr(), gradient._version)

    def distrust(self) -> None:
        """A backward failed: what was measured ahead may never have been added. Look at everything again."""
        self._versions = [-1] * len(self._versions)
        for known in (self._ahead, self._arrived, self._arrivals, self._kept):
            known.clear()

    def distrust_each(self, slots: list[int]) -> None:
        """Somebody wrote into the gradients of these `slots` without a trace."""
        for slot in slots:
            self._versions[slot] = -1

    def finish(self, slots: Iterable[int]) -> bool:
        """Look after a backward: `p.grad` is G_k. Returns whether anything arrived or changed."""
        arrivals = self._arrivals
        self._fired = list(dict(arrivals))
        repeated = [slot for slot, _ in arrivals] if len(self._fired) != len(arrivals) else None
        small = [(slot, gradient) for slot, gradient in arrivals if gradient is not None]
        arrivals.clear()
        changed = self._changed = self.look(slots, small=small)
        for slot, row in self._kept.items():
            self._state[slot] = row
        self._arrived.clear()  # good for this moment only: `.data` may change p.grad without a trace
        self._ahead.clear()
        if repeated is not None:
            settle_repeated(repeated, self._state, self._shares, self._before)
        return bool(changed or self._fired)

    def touched(self) -> set[int]:
        """Slots that this backward reached."""
        return {*self._changed, *self._fired}

    def keep(self, slots: list[int]) -> None:
        """An optimizer steps inside the backward and may free these gradients: G_k and what is consumed are now."""
        self.look(slots, fresh=True, count_zeros=True)
        self._kept.update((slot, self._state[slot].copy()) for slot in slots)

    def fired(self) -> list[int]:
        """Slots whose gradient arrived in this backward, in firing order."""
        return list(dict.fromkeys([*self._fired, *(slot for slot, _ in self._arrivals)]))

    def look(self, slots: Iterable[int], *, fresh: bool = False, count_zeros: bool = False,
             small: list[tuple[int, Tensor]] | None = None) -> list[int]:  # fmt: skip
        """Measure each `p.grad` that changed since the last look (all, if `fresh`), and `small`. Returns those."""
        references, grads, versions, ahead = self._references, self._grads, self._versions, self._ahead
        sharded, are_small = self._sharded, self._small
        changed: list[int] = []
        small, count = [] if small is None else small, len(self._none)
        for slot in slots:
            parameter = references[slot]()
            part = grad = None if parameter is None else parameter.grad
            if sharded and grad is not None:
                part = self._watched.part_of(slot, grad)
            known = grads[slot]
            if grad is None or part is None:
                if known is not None:
                    grads[slot] = None
                    self._state[slot] = self._none[slot]
                    self._device.state.pop(slot, None)
                    changed.append(slot)
                continue
            # FSDP adds to a shard behind its DTensor's back, whose version stays what it was; autograd to the DTensor
            version = grad._version + part._version if sharded else grad._version
            if known is None or known() is not grad:
                grads[slot] = weakref.ref(grad)
                ahead.pop(slot, None)  # another tensor than the one that was measured
            elif version == versions[slot] and not fresh:
                continue
            versions[slot] = version
            changed.append(slot)
            if are_small[slot] and grad.is_cpu:
                small.append((count + slot, part))
            elif fresh or ahead.get(slot) != version:
                self._measure(slot, part, count_zeros)
        if small:
            self._gauge.measure_all(small, self._numbers, count_zeros)
        return changed

    def _measure(self, slot: int, grad: Tensor, count_zeros: bool) -> None:
        if not grad.is_cpu:
            self._device.state[slot] = measure_on_device(grad)
        elif not count_zeros and self._arrived.get(slot) == (grad.data_ptr(), grad._version):
            self._state[slot] = self._shares[slot]  # the first gradient of a window *is* p.grad
        else:
            self._gauge.measure(grad, self._state, slot, count_zeros)

    def _differs(self, slots: list[int]) -> bool:
        """Whether the numbers changed and not only the version: clipping may clip nothing, and that is no edit."""
        if self._device.state.keys() & set(slots):
            return True  # to compare would be to wait for the device
        return not np.array_equal(self._state[slots, :4], self._before[slots, :4], equal_nan=True)

    def hidden_resets(self) -> list[int]:
        """Slots whose G_k is g_k alone although G_{k-1} was not 0: cleared without a trace, by `.data.zero_()`.

        The parameter that fired first stands for the others: only where it shows this are all compared.
        """
        first = self._fired[0] if self._fired else None
        if first is None or self._state.item(first, SQUARES) != self._shares.item(first, SQUARES):
            return []
        return were_reset(self._state, self._shares, self._before, self._rounded)

    def forget_before(self, slots: list[int], unscaling: Unscaling) -> Sums:
        """Set G_{k-1} of `slots` to 0 and return that moment, as an edit shows it."""
        self._before = self._before.copy()
        self._before[slots, : NONFINITE + 1] = 0
        return finished(partial(assembled, self._before), unscaling)

    def moment(self, unscaling: Unscaling) -> Sums:
        """`p.grad` as last looked at, without the AMP scale: a callable for the writer's thread."""
        return finished(self._standing(), unscaling)

    def moment_as_consumed(self, scale: Scalar | None) -> Sums:
        """`p.grad` as the optimizer takes it; a fused one divides it by `scale` in its own kernel."""
        assemble, rows = self._standing(), np.arange(len(self._state))
        return Once(assemble if scale is None else lambda: unscaled(assemble(), rows, scale))

    def moment_of_kept(self) -> Sums:
        """What the optimizers inside the last backward consumed; their gradients may be gone by now."""
        rows = self._state.copy()
        for slot, row in self._kept.items():
            rows[slot] = row
        self.distrust()
        return Once(partial(assembled, rows))

    def _standing(self) -> Sums:
        assemble = partial(assembled, self._state.copy())
        return self._device.fill_later(assemble, micro=False) if self._device.state else assemble

    def moment_of_micro_step(self, unscaling: Unscaling) -> Sums:
        """G_k and g_k after a backward, as `moment`; what is G_k now is the next backward's G_{k-1}."""
        before, numbers, count = self._before, self._numbers.copy(), len(self._none)
        self._before = numbers[count:]
        unsure = list(range(count)) if self._averaged else self._rounded
        assemble: Sums = partial(assembled_backward, numbers, before, unsure)
        if self._device.state:
            assemble = self._device.fill_later(assemble, micro=True)
        return finished(assemble, unscaling)
