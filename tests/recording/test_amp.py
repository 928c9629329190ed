"""Mixed precision: unscaled values with the scale beside them, and updates that did not happen."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from loop_story import ListWriter, batches, ends, expected, make_model, record, rows

from gradviz.schema import L1, MAX, MICRO_L1, NONFINITE, SQUARES, WEIGHT_SQUARES, Phase

SCALE = 1024.0


def scaler_of(scale: float = SCALE) -> Any:
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)


def train(
    *,
    scale: float | None = SCALE,
    unscale: bool = False,
    clip: float | None = None,
    spoil: int | None = None,
    optimizer_class: Any = torch.optim.SGD,
    seen: list[list[np.ndarray]] | None = None,
    **options: Any,
) -> ListWriter:
    """Windows of three; micro-batch `spoil` overflows. `seen` takes what `p.grad` truly is at each step."""
    model = make_model()
    optimizer = optimizer_class(model.parameters(), lr=0.1, **options)
    recorder, writer = record(model, optimizer)
    scaler = torch.amp.GradScaler(
        "cpu", init_scale=scale or 1.0, enabled=scale is not None, growth_interval=10**6
    )
    for i, x in enumerate(batches()):
        loss = model(x * (float("inf") if i == spoil else 1.0)).square().mean() / 3
        scaler.scale(loss).backward()
        if ends(i):
            if unscale:
                scaler.unscale_(optimizer)
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            if seen is not None:
                seen.append([expected(p.grad) for p in model.parameters()])
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    recorder.close()
    assert writer.errors == []
    return writer


def values(writer: ListWriter) -> list[np.ndarray]:
    return [rows(event)[:, :WEIGHT_SQUARES] for event in writer.events]


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("fused", [False, True])
def test_values_are_those_without_a_scaler(unscale: bool, optimizer_class: Any, fused: bool) -> None:
    plain = train(scale=None, optimizer_class=optimizer_class)
    scaled = train(unscale=unscale, optimizer_class=optimizer_class, fused=fused)
    assert scaled.labels() == plain.labels()
    for ours, theirs in zip(values(scaled), values(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-12)
    for event in scaled.of(Phase.MICRO_STEP) + scaled.of(Phase.UPDATE):
        assert event.scalars["amp_scale"] == SCALE
    losses = [event.scalars["loss"] for event in scaled.of(Phase.MICRO_STEP)]
    assert losses == pytest.approx([event.scalars["loss"] for event in plain.of(Phase.MICRO_STEP)], rel=1e-5)
    skipped = [event.scalars["skipped"] for event in scaled.of(Phase.UPDATE)]
    assert [one() if callable(one) else one for one in skipped] == [0.0, 0.0, 0.0]
    assert all("skipped" not in event.scalars for event in plain.events)


@pytest.mark.parametrize("fused", [False, True])
def test_a_refused_update_is_one_that_did_not_happen(fused: bool) -> None:
    writer = train(spoil=4, optimizer_class=torch.optim.Adam, fused=fused)
    assert writer.labels() == [
        *("r0", "m0.1", "m0.2", "m0.3", "u0.3"),
        *("r1", "m1.1", "m1.2", "m1.3", "u1.3"),
        *("r2", "m2.1", "u2.1", "r3"),
    ]  # fmt: skip
    skipped = [event.scalars["skipped"] for event in writer.of(Phase.UPDATE)]
    assert [one() if callable(one) else one for one in skipped] == [0.0, 1.0, 0.0]
    assert rows(writer.of(Phase.UPDATE)[1])[:, NONFINITE].sum() > 0
    scales = [event.scalars["amp_scale"] for event in writer.of(Phase.MICRO_STEP)]
    assert scales == [SCALE] * 6 + [SCALE / 2]  # the scaler backs off after it
    assert (rows(writer.of(Phase.RESET)[-1])[:, NONFINITE] == -1).all()


def test_clipping_before_and_after_and_its_coefficient() -> None:
    writer = train(unscale=True, clip=0.02)
    for micro, update in zip([writer.events[i] for i in (3, 8, 11)], writer.of(Phase.UPDATE), strict=True):
        before, after = rows(micro)[:, SQUARES].sum(), rows(update)[:, SQUARES].sum()
        assert before > 0.02**2
        assert np.sqrt(after) == pytest.approx(0.02, rel=1e-4)
        coefficient = update.scalars["clip_coefficient"]
        assert callable(coefficient)
        assert coefficient() == pytest.approx(np.sqrt(after / before), rel=1e-6)


def test_a_clip_that_saw_the_scaled_norm_shows() -> None:
    """Clipped to 0.02 while still scaled: what is consumed has a norm of 0.02 / scale."""
    writer = train(clip=0.02)
    for update in writer.of(Phase.UPDATE):
        assert np.sqrt(rows(update)[:, SQUARES].sum()) == pytest.approx(0.02 / SCALE, rel=1e-4)


def test_what_the_optimizer_takes_is_never_unscaled_by_us() -> None:
    """`optimizer.step()` beside the scaler consumes the scaled gradient, and that is what stands there."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    recorder, writer = record(model, optimizer)
    scaler_of().scale(model(batches()[0]).square().mean()).backward()
    truth = [expected(p.grad) for p in model.parameters()]
    optimizer.step()
    recorder.close()
    update, micro = rows(writer.of(Phase.UPDATE)[0]), rows(writer.of(Phase.MICRO_STEP)[0])
    for slot, numbers in enumerate(truth):
        np.testing.assert_allclose(update[slot, [L1, SQUARES, MAX]], numbers[:3], rtol=1e-6)
        np.testing.assert_allclose(micro[slot, [L1, MICRO_L1]], numbers[0] / SCALE, rtol=1e-6)


def test_a_scaler_of_another_make_is_asked() -> None:
    class Scaler:
        _scale = torch.tensor(8.0)

        def scale(self, loss: torch.Tensor) -> torch.Tensor:
            return loss * self._scale

    model, scaler = make_model(), Scaler()
    recorder, writer = record(model, scaler=scaler)
    loss = model(batches()[0]).square().mean()
    scaler.scale(loss).backward()
    truth = [expected(p.grad)[0] / 8 for p in model.parameters()]
    recorder.close()
    micro = writer.of(Phase.MICRO_STEP)[0]
    np.testing.assert_allclose(rows(micro)[:, L1], truth, rtol=1e-6)
    assert micro.scalars["loss"] == pytest.approx(loss.item())


def test_two_models_with_a_scaler_each() -> None:
    """Only the backward whose loss was scaled is unscaled."""
    first, second = make_model(), make_model()
    recorder, writer = record(first)
    scaler = scaler_of()
    scaler.scale(second(batches()[0]).square().mean()).backward()
    loss = first(batches()[0]).square().mean()
    loss.backward()
    recorder.close()
    assert [event.phase for event in writer.events] == [Phase.RESET, Phase.MICRO_STEP]
    np.testing.assert_allclose(
        rows(writer.events[1])[:, L1], [expected(p.grad)[0] for p in first.parameters()]
    )
    assert "amp_scale" not in writer.events[1].scalars


def test_bf16_parameters_and_gradients() -> None:
    model = make_model().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    seen: list[list[np.ndarray]] = []
    for i, x in enumerate(batches()):
        model(x.bfloat16()).float().square().mean().backward()
        seen.append([expected(p.grad) for p in model.parameters()])
        if ends(i):
            optimizer.step()
            optimizer.zero_grad()
    recorder.close()
    for event, truth in zip(writer.of(Phase.MICRO_STEP), seen, strict=True):
        np.testing.assert_allclose(rows(event)[:, :4], np.array(truth)[:, :4], rtol=1e-6)


def test_autocast_keeps_the_gradients_in_single_precision() -> None:
    model = make_model()
    recorder, writer = record(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(batches()[0]).float().square().mean()
    loss.backward()
    truth = np.array([expected(p.grad) for p in model.parameters()])
    recorder.close()
    np.testing.assert_allclose(rows(writer.of(Phase.MICRO_STEP)[0])[:, :4], truth[:, :4], rtol=1e-6)


def test_the_scaler_is_as_it_was() -> None:
    scaler = torch.amp.GradScaler
    before = scaler.scale, scaler.unscale_, scaler.step
    model = make_model()
    recorder, _ = record(model)
    assert scaler.scale is not before[0]
    given = scaler_of()
    given.scale(torch.ones(1, requires_grad=True).sum())
    copy.deepcopy(given.state_dict())
    recorder.close()
    assert (scaler.scale, scaler.unscale_, scaler.step) == before


@pytest.mark.parametrize("fused", [False, True])
def test_training_is_bit_identical(fused: bool) -> None:
    def weights(watched: bool) -> list[torch.Tensor]:
        model = make_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=fused)
        recorder = record(model, optimizer)[0] if watched else None
        scaler = scaler_of()
        for i, x in enumerate(batches()):
            scaler.scale(model(x * (float("inf") if i == 4 else 1.0)).square().mean()).backward()
            if ends(i):
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
        if recorder is not None:
            recorder.close()
        return [*model.parameters(), torch.tensor(scaler.get_scale())]

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


@pytest.mark.filterwarnings("ignore")  # torch's own: a scaler cannot be compiled, and it says so at length
def test_a_compiled_function_does_not_trace_what_we_wrap() -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    model = make_model()
    recorder, writer = record(model)
    scaler = scaler_of()

    @torch.compile(backend="eager")
    def scaled(x: torch.Tensor) -> Any:
        return scaler.scale(model(x).sum())

    scaled(batches()[0]).backward()
    recorder.close()
    assert writer.of(Phase.MICRO_STEP)[0].scalars["amp_scale"] == SCALE
    assert not [reason for reason in counters["graph_break"] if "Tensor.item" in reason]
