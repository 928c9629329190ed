"""The size of each update's step, against the weights before and after it in plain float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loop_story import batches, make_model, record, rows
from torch import nn

from gradviz.recording import steps
from gradviz.recording.parameters import find_parameters
from gradviz.schema import STEP_SQUARES, SUMS_WIDTH, UNCHANGED, WEIGHT_SQUARES, Phase

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "two groups": lambda p: torch.optim.SGD([{"params": p[:2]}, {"params": p[2:], "lr": 0.5}], lr=0.1),
    "one exact": lambda p: torch.optim.SGD([{"params": p[:2]}, {"params": p[2:], "momentum": 0.9}], lr=0.1),
}


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, updates: int = 3
) -> tuple[Any, list[np.ndarray]]:
    """Records `updates` windows of two; returns the writer and [updates, slots, 2] true ||w||^2 and ||dw||^2."""
    recorder, writer = record(model, optimizer)
    truth = []
    for window in range(updates):
        for x in batches(2 * updates)[2 * window : 2 * window + 2]:
            model(x.to(next(model.parameters()).dtype)).square().mean().backward()
        before = [p.detach().double().numpy().copy() for p in model.parameters()]
        optimizer.step()
        after = [p.detach().double().numpy() for p in model.parameters()]
        truth.append([[(w**2).sum(), ((v - w) ** 2).sum()] for w, v in zip(before, after, strict=True)])
        optimizer.zero_grad()
    recorder.close()
    assert writer.errors == []
    return writer, [np.array(one) for one in truth]


@pytest.fixture(params=["compiled", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled kernels and without them."""
    if request.param == "plain":
        monkeypatch.setattr(steps, "load_step_kernels", lambda: None)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_step_and_the_weights(name: str) -> None:
    model = make_model()
    writer, truth = train(model, OPTIMIZERS[name](list(model.parameters())))
    for event, numbers in zip(writer.of(Phase.UPDATE), truth, strict=True):
        np.testing.assert_allclose(rows(event)[:, [WEIGHT_SQUARES, STEP_SQUARES]], numbers, rtol=3e-5)
    for event in writer.of(Phase.MICRO_STEP) + writer.of(Phase.RESET):
        assert np.isnan(rows(event)[:, WEIGHT_SQUARES:]).all()


def test_plain_sgd_is_exact_and_others_are_not_asked() -> None:
    model = make_model()
    watched = find_parameters(model)
    first, *rest = model.parameters()
    groups = [{"params": [first]}, {"params": rest, "momentum": 0.9}]
    assert steps.exact_steps(torch.optim.SGD(groups, lr=0.3), watched) == {0: 0.3}
    assert steps.exact_steps(torch.optim.Adam(model.parameters()), watched) == {}
    assert steps.exact_steps(torch.optim.SGD(model.bfloat16().parameters(), lr=0.3), watched) == {}


@pytest.mark.usefixtures("kernels")
def test_a_large_layer_is_sampled_and_the_sample_is_fair() -> None:
    """300,000 elements, of which 16,384 are read: within a few percent of the whole."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(300, 1000))
    gauge = steps.StepGauge(find_parameters([("w", weight), ("b", nn.Parameter(torch.zeros(3)))]))
    weight.grad = torch.ones_like(weight)
    gauge.before([0])
    before = weight.detach().double().numpy().copy()
    with torch.no_grad():
        weight += 0.01 * torch.randn(300, 1000)
    write = gauge.after()
    assert write is not None
    sums = np.full((2, SUMS_WIDTH), np.nan)
    write(sums)
    after = weight.detach().double().numpy()
    assert sums[0, WEIGHT_SQUARES] == pytest.approx((before**2).sum(), rel=0.05)
    assert sums[0, STEP_SQUARES] == pytest.approx(((after - before) ** 2).sum(), rel=0.05)
    assert np.isnan(sums[1]).all()


def test_where_the_step_is_known_no_sample_is_kept() -> None:
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(300, 1000)), nn.Parameter(torch.randn(7))
    gauge = steps.StepGauge(find_parameters([("w", weight), ("b", bias)]))
    if gauge._fast is None:
        pytest.skip("needs numba")
    gauge.before([0, 1], {0})
    assert len(gauge._fast._layout.buffer) == 7
    with torch.no_grad():
        bias += 1
    write = gauge.after()
    assert write is not None
    sums = np.zeros((2, SUMS_WIDTH))
    write(sums)
    assert sums[0, WEIGHT_SQUARES] == pytest.approx(float((weight.detach().double() ** 2).sum()), rel=0.05)
    assert np.isnan(sums[0, STEP_SQUARES])
    assert sums[1, STEP_SQUARES] == pytest.approx(7, rel=1e-5)


@pytest.mark.parametrize("layers", [1, 100, 20_000])
def test_samples_stay_small_with_many_layers(layers: int) -> None:
    named = [(f"w{i}", nn.Parameter(torch.zeros(1))) for i in range(layers)]
    size = steps.StepGauge(find_parameters(named))._size
    assert steps.BLOCK <= size <= steps.LARGEST_SAMPLE
    assert layers * size <= max(steps.ALL_SAMPLES, layers * steps.BLOCK)


@pytest.mark.parametrize("shape", [(3, 5, 4, 4), (7,), (1,), (513, 300), (20, 30, 40)])
@pytest.mark.parametrize("layout", ["contiguous", "channels last", "transposed", "slice"])
def test_every_layout_is_sampled_without_a_copy_of_the_whole(shape: tuple[int, ...], layout: str) -> None:
    x = torch.randn(shape)
    if layout == "channels last" and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    elif layout == "transposed":
        x = x.transpose(0, -1)
    elif layout == "slice":
        x = torch.randn(*shape[:-1], 2 * shape[-1])[..., ::2]
    gauge = steps.StepGauge(find_parameters([("w", nn.Parameter(torch.zeros(1)))]))
    sample = gauge._sample(x)
    assert 0 < sample.numel() <= steps.LARGEST_SAMPLE
    assert set(sample.tolist()) <= set(x.flatten().tolist())
    if x.numel() <= steps.LARGEST_SAMPLE and layout != "slice":
        assert sorted(sample.tolist()) == sorted(x.flatten().tolist())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_weights_that_did_not_move_are_counted(dtype: torch.dtype) -> None:
    model = make_model().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=2e-3)
    recorder, writer = record(model, optimizer)
    model(batches()[0].to(dtype)).square().mean().backward()
    before = [p.detach().clone() for p in model.parameters()]
    moved = [p.grad != 0 for p in model.parameters() if p.grad is not None]
    optimizer.step()
    recorder.close()
    unchanged = rows(writer.of(Phase.UPDATE)[0])[:, UNCHANGED]
    truth = [
        float(((p == w) & m).sum() / m.sum())
        for p, w, m in zip(model.parameters(), before, moved, strict=True)
    ]
    np.testing.assert_allclose(unchanged, truth, rtol=1e-6)
    assert 0 < np.mean(truth) < 1
    weights, truth = make_model(), []
    writer, _ = train(weights, torch.optim.SGD(weights.parameters(), lr=0.1), 1)
    assert np.isnan(rows(writer.of(Phase.UPDATE)[0])[:, UNCHANGED]).all(), "single precision is not compared"


def test_a_step_that_raises_leaves_an_update_without_a_size() -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            raise RuntimeError("no step")

    model = make_model()
    optimizer = Failing(model.parameters(), lr=0.1)
    recorder, writer = record(model, optimizer)
    model(batches()[0]).square().mean().backward()
    with pytest.raises(RuntimeError, match="no step"):
        optimizer.step()
    recorder.close()
    assert writer.labels() == ["r0", "m0.1", "u0.1", "r1"]
    assert np.isnan(rows(writer.of(Phase.UPDATE)[0])[:, WEIGHT_SQUARES:]).all()


def test_lbfgs_moves_from_where_its_step_began() -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)
    recorder, writer = record(model, optimizer)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(batches()[0]).square().mean()
        loss.backward()
        return loss

    before = [p.detach().double().numpy().copy() for p in model.parameters()]
    optimizer.step(closure)
    recorder.close()
    steps_taken = [
        ((p.detach().double().numpy() - w) ** 2).sum()
        for p, w in zip(model.parameters(), before, strict=True)
    ]
    np.testing.assert_allclose(rows(writer.of(Phase.UPDATE)[0])[:, STEP_SQUARES], steps_taken, rtol=1e-4)


def test_the_optimizer_is_described() -> None:
    model = nn.Sequential(make_model(), nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model[0].parameters(), lr=0.1, weight_decay=0.02)
    recorder, writer = record(model, optimizer)
    model(batches()[0]).square().mean().backward()
    optimizer.step()
    recorder.close()
    (fact,) = writer.facts["optimizers"]
    assert (fact["class"], fact["fused"], fact["layers"]) == ("AdamW", False, [0, 1, 2, 3])
    assert fact["settings"]["weight_decay"] == 0.02
    assert fact["settings"]["betas"] == [0.9, 0.999]
    assert writer.facts["training_modules"] == {"batchnorm": ["1"]}
