"""Distributions of real trainings against numpy: what each optimizer consumed, at which updates, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import N, batches, ends, make_model, record, run, scalars
from torch import nn

import gradviz
from gradviz.errors import WatchError
from gradviz.recording import tally
from gradviz.recording.exponents import NO_GRADIENT, count_on_device
from gradviz.schema import BIN_NAMES, BINS, EventRecord, Phase


def numpy_counts(gradient: torch.Tensor | None) -> list[int]:
    """The counts of one gradient in plain numpy; -1 in every bin for None."""
    if gradient is None:
        return [NO_GRADIENT] * BINS
    size = np.abs(gradient.detach().double().numpy().ravel())
    found = dict.fromkeys(BIN_NAMES, 0)
    found["zeros"] = int((size == 0).sum())
    for exponent in range(-64, 32):
        found[f"2^{exponent}"] = int(((size >= 2.0**exponent) & (size < 2.0 ** (exponent + 1))).sum())
    found["below_2^-126"] = int(((size > 0) & (size < 2.0**-126)).sum())
    found["2^-126_to_2^-65"] = int(((size >= 2.0**-126) & (size < 2.0**-64)).sum())
    found["from_2^32"] = int((np.isfinite(size) & (size >= 2.0**32)).sum())
    return list(found.values())[:1] + [found[name] for name in BIN_NAMES[1:]]


def all_counts(model: nn.Module) -> list[list[int]]:
    return [numpy_counts(parameter.grad) for parameter in model.parameters()]


def fetched(event: EventRecord) -> list[list[int]]:
    counts = event.counts() if callable(event.counts) else event.counts
    assert counts is not None
    assert counts.dtype == np.int64
    return counts.tolist()


class Loop:
    """An accumulating loop; `seen` are the counts of each update by numpy, just before the optimizer's step."""

    def __init__(self, scale: float = 1.0, clip: float | None = None) -> None:
        self.seen: list[list[list[int]]] = []
        self._scale, self._clip = scale, clip

    def __call__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for i, x in enumerate(batches()):
            (self._scale * model(x).square().mean()).backward()
            if ends(i):
                if self._clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), self._clip)
                self.seen.append(all_counts(model))
                optimizer.step()
                optimizer.zero_grad()


@pytest.fixture(params=["compiled", "plain", "device"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the compiled kernels, without them, and as on a device: a tensor that the writer's thread fetches."""
    if request.param != "compiled":
        monkeypatch.setattr(tally, "load_exponent_kernels", dict)
    if request.param == "device":
        monkeypatch.setattr(tally, "part_of", lambda _watched, _slot, x: Elsewhere(x))
        monkeypatch.setattr(tally, "count_on_device", lambda x, scale: count_on_device(x.where, scale))
    return str(request.param)


class Elsewhere:
    """A tensor that says that it is on no CPU."""

    is_cpu = False

    def __init__(self, where: torch.Tensor) -> None:
        self.where = where


@pytest.mark.parametrize("clip", [None, 1e-3])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-30, 1e12])
def test_counts_are_those_of_what_was_consumed(way: str, scale: float, clip: float | None) -> None:
    loop = Loop(scale, clip)
    writer = run(loop, distributions=True)
    updates = writer.of(Phase.UPDATE)
    assert [fetched(event) for event in updates] == loop.seen
    assert [callable(event.counts) for event in updates] == [way == "device"] * len(updates)
    others = [event for event in writer.events if event.phase is not Phase.UPDATE]
    assert all(event.counts is None for event in others)


@pytest.mark.parametrize(
    ("every", "k", "counted"), [(1, 1, [0, 1, 2]), (1, 2, [0, 2]), (2, 1, [0, 2]), (2, 2, [0])]
)
def test_every_kth_recorded_update(every: int, k: int, counted: list[int]) -> None:
    writer = run(Loop(), distributions=k, every=every)
    updates = writer.of(Phase.UPDATE)
    assert [event.update for event in updates] == [0, 1, 2][::every]
    assert [event.update for event in updates if event.counts is not None] == counted


def test_off_by_default_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a tally was made")

    monkeypatch.setattr("gradviz.recording.watching.Tally", fail)
    writer = run(Loop())
    assert all(event.counts is None for event in writer.events)


def test_a_parameter_without_a_gradient_has_no_counts() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer, distributions=True)
    model[0](batches()[0]).sum().backward()  # the last layer takes no part
    optimizer.step()
    recorder.close()
    counts = np.array(fetched(writer.of(Phase.UPDATE)[0]))
    assert (counts[:2] >= 0).all()
    assert (counts[2:] == NO_GRADIENT).all()


def test_two_optimizers_count_their_own() -> None:
    model = make_model()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.Adam(model[2].parameters(), lr=0.1)
    recorder, writer = record(model, first, second, distributions=True)
    model(batches()[0]).square().mean().backward()
    seen = all_counts(model)
    first.step()
    second.step()
    recorder.close()
    assert [fetched(event) for event in writer.of(Phase.UPDATE)] == [seen[:2], seen[2:]]


def test_lbfgs_counts_what_its_last_closure_left() -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    recorder, writer = record(model, optimizer, distributions=True)
    seen = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(batches()[0]).square().mean()
        loss.backward()
        seen.append(all_counts(model))
        return loss

    optimizer.step(closure)
    recorder.close()
    assert [fetched(event) for event in writer.of(Phase.UPDATE)] == seen[-1:]


def test_an_optimizer_inside_the_backward_frees_its_gradients_and_they_are_counted() -> None:
    model = make_model()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}
    recorder, writer = record(model, *optimizers.values(), distributions=True)
    slot_of = {id(parameter): slot for slot, parameter in enumerate(model.parameters())}
    seen: dict[int, list[int]] = {}

    def step(parameter: torch.Tensor) -> None:
        seen[slot_of[id(parameter)]] = numpy_counts(parameter.grad)
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    handles = [p.register_post_accumulate_grad_hook(step) for p in model.parameters()]
    model(batches()[0]).square().mean().backward()
    recorder.close()
    for handle in handles:
        handle.remove()
    assert [fetched(event) for event in writer.of(Phase.UPDATE)] == [[seen[slot] for slot in range(4)]]


def amp_loop(writer_of: Any, poison: bool) -> tuple[Any, list[Any]]:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15)
    recorder, writer = writer_of(model, optimizer, distributions=True)
    seen = []
    for i, x in enumerate(batches(2 * N)):
        loss = model(x).square().mean() * (float("inf") if poison and i == 0 else 1.0)
        scaler.scale(loss).backward()
        if (i + 1) % N == 0:
            scaler.unscale_(optimizer)
            seen.append(all_counts(model))
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    recorder.close()
    return writer, seen


@pytest.mark.parametrize("poison", [False, True])
def test_a_grad_scaler_is_taken_out_and_a_refused_update_has_no_counts(poison: bool) -> None:
    writer, seen = amp_loop(record, poison)
    updates = writer.of(Phase.UPDATE)
    assert [scalars(event)["skipped"] for event in updates] == [float(poison), 0.0]
    assert [None if event.counts is None else fetched(event) for event in updates] == [
        None if poison else seen[0],
        seen[1],
    ]


def test_a_fused_optimizers_scale_is_divided_out() -> None:
    """Such an optimizer is handed scaled gradients, and the scale beside them."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    recorder, writer = record(model, optimizer, distributions=True)
    model(batches()[0]).square().mean().backward()
    seen = all_counts(model)
    for parameter in model.parameters():
        parameter.grad *= 2.0**16
    optimizer.grad_scale = torch.tensor(2.0**16)  # type: ignore[attr-defined]
    optimizer.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
    optimizer.step()
    recorder.close()
    assert [fetched(event) for event in writer.of(Phase.UPDATE)] == [seen]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_half_and_double_precision(dtype: torch.dtype) -> None:
    model = make_model().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    recorder, writer = record(model, optimizer, distributions=True)
    model(batches()[0].to(dtype)).square().mean().backward()
    seen = all_counts(model)
    optimizer.step()
    recorder.close()
    assert [fetched(event) for event in writer.of(Phase.UPDATE)] == [seen]


def test_training_is_bit_identical_with_distributions() -> None:
    weights = []
    for options in ({}, {"distributions": True}):
        model = make_model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        recorder, _ = record(model, optimizer, **options)
        Loop()(model, optimizer)
        recorder.close()
        weights.append([p.detach().clone() for p in model.parameters()])
    assert all(map(torch.equal, *weights))


def test_from_watch_to_the_frame(tmp_path: Path) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loop = Loop()
    with gradviz.watch(model, optimizer, run_dir=tmp_path, distributions=True) as recorder:
        loop(model, optimizer)
    assert recorder.run_path is not None
    opened = gradviz.open_run(recorder.run_path)
    assert opened.has_distributions
    frame = opened.distributions()
    for slot, (name, parameter) in enumerate(model.named_parameters()):
        rows = frame[frame["layer"] == name]
        assert rows["update"].tolist() == [0, 1, 2]
        assert rows[list(BIN_NAMES)].to_numpy().tolist() == [seen[slot] for seen in loop.seen]
        assert (rows[list(BIN_NAMES)].sum(axis=1) == parameter.numel()).all()
    gradients = opened.gradients(phases="update")
    zeros = gradients["zeros"] * gradients["layer"].astype(str).map(opened.layers.set_index("layer")["numel"])
    np.testing.assert_allclose(zeros, frame["zeros"], rtol=1e-6)


@pytest.mark.parametrize("wrong", [-1, "yes", 1.5])
def test_what_is_no_number_of_updates_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(WatchError, match="distributions="):
        gradviz.watch(make_model(), run_dir=tmp_path, distributions=wrong, strict=True)
