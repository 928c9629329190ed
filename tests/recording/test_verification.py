"""`verify_accumulation`: equal windows, every cause of a difference on a real small model, and nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradviz
from gradviz.errors import VerificationError
from gradviz.recording.verification_report import AccumulationReport
from gradviz.texts import LANGUAGES

Loss = Callable[[Tensor, Tensor], Tensor]
PARTS = 4


class Case:
    """A model, a batch, a window of four micro-steps and the batch at once."""

    def __init__(self, *middle: nn.Module, dtype: torch.dtype = torch.float32, ignore: int = 0) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 16), *middle, nn.ReLU(), nn.Linear(16, 3)).to(dtype)
        self.inputs, self.labels = torch.randn(32, 6, dtype=dtype), torch.randint(3, (32,))
        self.labels[:ignore] = -100

    def window(self, loss: Loss) -> None:
        for inputs, labels in zip(self.inputs.chunk(PARTS), self.labels.chunk(PARTS), strict=True):
            loss(self.model(inputs), labels).backward()

    def at_once(self, loss: Loss = F.cross_entropy) -> None:
        loss(self.model(self.inputs), self.labels).backward()

    def verify(self, loss: Loss, reference: Loss = F.cross_entropy, **options: Any) -> AccumulationReport:
        return gradviz.verify_accumulation(
            self.model, lambda: self.window(loss), lambda: self.at_once(reference), **options
        )


def quarter(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels) / PARTS


def codes(report: AccumulationReport) -> list[str]:
    assert report.ok == (not report.causes)
    assert all(str(report) and report.text(language) for language in LANGUAGES)
    return [cause.code for cause in report.causes]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-8), (torch.float32, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 5e-2)],
    ids=str,
)
def test_a_right_window_is_equal(dtype: torch.dtype, tolerance: float) -> None:
    report = Case(nn.LayerNorm(16), dtype=dtype).verify(quarter)
    assert codes(report) == []
    assert (report.tolerance, report.micro_steps) == (tolerance, 4)
    assert report.error < tolerance / 3
    assert report.factor == pytest.approx(1, abs=tolerance)
    assert "Equal: 4 micro-steps" in str(report)


def test_the_numbers_are_those_of_a_slow_computation() -> None:
    case = Case(ignore=6)
    report = case.verify(quarter)
    grads = []
    for run in (lambda: case.window(quarter), case.at_once):
        case.model.zero_grad()
        run()
        grads.append({name: p.grad.double() for name, p in case.model.named_parameters()})
    own, other = grads
    for layer in report.layers:
        a, r = own[layer.layer].flatten(), other[layer.layer].flatten()
        assert layer.error == pytest.approx(float((a - r).norm() / r.norm()))
        assert layer.cosine == pytest.approx(float(F.cosine_similarity(a, r, dim=0)))
        assert layer.factor == pytest.approx(float(a @ r / (r @ r)))
    a, r = (torch.cat([g.flatten() for g in grad.values()]) for grad in grads)
    assert report.error == pytest.approx(float((a - r).norm() / r.norm()))
    assert [layer.error for layer in report.layers] == sorted((x.error for x in report.layers), reverse=True)


def test_not_divided() -> None:
    report = Case().verify(F.cross_entropy)
    assert codes(report) == ["not-divided"]
    assert report.causes[0].evidence == {"factor": pytest.approx(4), "micro_steps": 4}
    assert "Divide it: (loss / 4).backward()." in str(report)


def test_divided_twice() -> None:
    report = Case().verify(lambda outputs, labels: quarter(outputs, labels) / PARTS)
    assert codes(report) == ["divided-twice"]
    assert report.causes[0].evidence["factor"] == pytest.approx(1 / 4)


def test_another_factor() -> None:
    assert codes(Case().verify(lambda outputs, labels: 1024 * quarter(outputs, labels))) == ["scaled"]
    assert codes(Case().verify(lambda outputs, labels: 1.0005 * quarter(outputs, labels))) == ["scaled"]


def test_unequal_tokens() -> None:
    report = Case(ignore=6).verify(quarter)
    assert codes(report) == ["unequal-tokens"]
    evidence = report.causes[0].evidence
    assert evidence["elements"] == [2, 8, 8, 8]
    assert evidence["weights"] == pytest.approx([26 / 4 / n for n in (2, 8, 8, 8)])
    assert (evidence["heavy"], evidence["light"], evidence["spread"]) == (1, 2, pytest.approx(4))


def test_unequal_tokens_and_not_divided() -> None:
    assert codes(Case(ignore=6).verify(F.cross_entropy)) == ["unequal-tokens", "not-divided"]


def test_tokens_divided_by_those_of_the_window_are_right() -> None:
    total = lambda outputs, labels: F.cross_entropy(outputs, labels, reduction="sum") / 26  # noqa: E731
    assert codes(Case(ignore=6).verify(total)) == []


class Own(torch.autograd.Function):
    """A loss whose graph tells nothing."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope


def test_unequal_tokens_are_solved_for_where_the_graph_tells_nothing() -> None:
    report = Case(ignore=6).verify(
        lambda outputs, labels: Own.apply(quarter(outputs, labels)),
        lambda outputs, labels: Own.apply(F.cross_entropy(outputs, labels)),
    )
    assert codes(report) == ["unequal-tokens"]
    assert report.causes[0].evidence["weights"] == pytest.approx([26 / 4 / n for n in (2, 8, 8, 8)], rel=1e-3)
    assert report.causes[0].evidence["elements"] == [None] * 4


def test_batchnorm() -> None:
    report = Case(nn.BatchNorm1d(16)).verify(quarter)
    assert codes(report) == ["batchnorm"]
    assert report.causes[0].evidence["modules"] == ["1"]
    assert report.causes[0].evidence["error"] == report.error > 0.1
    assert report.causes[0].evidence["error_without"] < 1e-5
    frozen = Case(nn.BatchNorm1d(16))
    frozen.model[1].eval()
    assert codes(frozen.verify(quarter)) == []


def test_dropout() -> None:
    layers = nn.Dropout(0.3), nn.Linear(16, 16), nn.Dropout(0.3)
    report = Case(*layers).verify(quarter)
    assert codes(report) == ["dropout"]
    assert report.causes[0].evidence["modules"] == ["1", "3"]
    assert report.causes[0].evidence["error_without"] < 1e-5
    quiet = Case(*layers)
    quiet.model.eval()
    assert codes(quiet.verify(quarter)) == []


class Noisy(nn.Module):
    """Dropout as a function, and a user who calls `train()` in each window."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.dropout(F.dropout(inputs, 0.4, self.training), 0.4, self.training)


def test_dropout_as_a_function_with_train_in_the_window() -> None:
    case = Case(Noisy())

    def window() -> None:
        case.model.train()
        case.window(quarter)

    report = gradviz.verify_accumulation(case.model, window, case.at_once)
    assert codes(report) == ["dropout"]
    assert report.causes[0].evidence["modules"] == []
    assert "train" not in vars(case.model[1])


def test_several_causes_at_once() -> None:
    both = nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 16), nn.Dropout(0.3)
    assert codes(Case(*both).verify(F.cross_entropy)) == ["batchnorm", "dropout", "not-divided"]
    assert codes(Case(nn.BatchNorm1d(16), ignore=6).verify(quarter)) == ["batchnorm", "unequal-tokens"]


def test_reset_and_edits_inside_the_window() -> None:
    def window(case: Case, between: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            halves = zip(case.inputs.chunk(2), case.labels.chunk(2), strict=True)
            for number, (inputs, labels) in enumerate(halves):
                if number:
                    between()
                (F.cross_entropy(case.model(inputs), labels) / 2).backward()

        return run

    case = Case()
    report = gradviz.verify_accumulation(case.model, window(case, case.model.zero_grad), case.at_once)
    assert codes(report) == ["reset-inside-window"]
    assert report.causes[0].evidence == {"before_micro_steps": [2]}
    clip = lambda: nn.utils.clip_grad_norm_(case.model.parameters(), 1e-2)  # noqa: E731
    report = gradviz.verify_accumulation(case.model, window(case, clip), case.at_once)
    assert codes(report) == ["edited-inside-window"]


def test_other_samples() -> None:
    case = Case()
    report = gradviz.verify_accumulation(
        case.model,
        lambda: case.window(quarter),
        lambda: F.cross_entropy(case.model(case.inputs[:30]), case.labels[:30]).backward(),
    )
    assert codes(report) == ["other-samples"]
    assert report.causes[0].evidence == {"accumulated": 32, "reference": 30}


def test_not_finite() -> None:
    report = Case().verify(lambda outputs, labels: (outputs - outputs.detach()).sqrt().sum())
    assert codes(report) == ["nonfinite"]
    assert report.causes[0].evidence["callable"] == "accumulate"


def test_unexplained() -> None:
    report = Case().verify(lambda outputs, labels: F.multi_margin_loss(outputs, labels) / PARTS)
    assert codes(report) == ["unexplained"]
    assert "No known cause" in str(report)


def test_autocast_sets_the_tolerance() -> None:
    case = Case()

    def in_bfloat16(outputs_of: Callable[[], None]) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs_of()

    report = gradviz.verify_accumulation(
        case.model, lambda: in_bfloat16(lambda: case.window(quarter)), lambda: in_bfloat16(case.at_once)
    )
    assert report.tolerance == 5e-2
    assert codes(report) == []
    assert case.verify(quarter, tolerance=1e-12).ok is False


def test_no_gradient_is_an_error() -> None:
    case = Case()

    def forgetful() -> None:
        case.window(quarter)
        case.model.zero_grad()

    with pytest.raises(
        VerificationError, match="`accumulate` left no gradient in the model, after 4 backward"
    ):
        gradviz.verify_accumulation(case.model, forgetful, case.at_once)
    with pytest.raises(
        VerificationError, match="`reference` left no gradient in the model, after 0 backward"
    ):
        gradviz.verify_accumulation(case.model, lambda: case.window(quarter), lambda: None)


def everything(model: nn.Module) -> dict[str, Any]:
    """All that must be the same afterwards, as bytes where that can be."""
    bits = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
    return {
        "bits": bits,
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "gradient bits": {
            n: p.grad.numpy().tobytes() for n, p in model.named_parameters() if p.grad is not None
        },
        "objects": [id(value) for value in [*model.parameters(), *model.buffers()]],
        "storages": [p.data_ptr() for p in model.parameters()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "training": [m.training for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "random": (random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
        "backward": torch.autograd.backward,
    }


@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_put_back(raises: bool) -> None:
    case = Case(nn.BatchNorm1d(16), nn.Dropout(0.5))
    case.at_once()
    case.model[0].weight.data[0, 0] = float("nan")
    case.model[0].bias.data[0] = -0.0
    case.model[-1].bias.requires_grad_(False)
    case.model[2].eval()
    optimizer = torch.optim.SGD(case.model.parameters(), lr=0.1)
    held = case.model[0].weight.grad
    before = everything(case.model)

    def careless() -> None:
        random.seed(5)
        np.random.seed(5)
        case.model.train()
        case.model[0].weight.requires_grad_(True)
        with torch.no_grad():
            case.model[0].weight.copy_(torch.rand(16, 6))
            case.model[0].bias.data = torch.ones(16)
        case.model[1].running_mean = torch.full((16,), 7.0)
        case.window(F.cross_entropy)
        optimizer.step()
        case.model[-1].bias.requires_grad_(True)
        if raises:
            raise RuntimeError("the user's own")

    if raises:
        with pytest.raises(RuntimeError, match="the user's own"):
            gradviz.verify_accumulation(case.model, careless, case.at_once)
    else:
        assert gradviz.verify_accumulation(case.model, careless, careless).ok  # from the same state each time
    assert everything(case.model) == before
    assert case.model[0].weight.grad is held


def test_a_model_that_cannot_run_quieted_is_unexplained() -> None:
    class Trains(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            assert self.training
            return F.dropout(F.dropout(inputs, 0.4), 0.4)

    case = Case(Trains())
    before = everything(case.model)
    assert codes(case.verify(quarter)) == ["unexplained"]
    assert everything(case.model) == before


def test_tied_unused_sparse_and_frozen_parameters() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(9, 4, sparse=True)
            self.inner = nn.Linear(4, 4)
            self.again = self.inner
            self.unused = nn.Linear(4, 4)
            self.frozen = nn.Linear(4, 3).requires_grad_(False)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.frozen(self.again(self.inner(self.words(tokens))))

    torch.manual_seed(0)
    model, tokens, labels = Words(), torch.randint(9, (8,)), torch.randint(3, (8,))

    def window() -> None:
        for part in range(4):
            quarter(model(tokens[part::4]), labels[part::4]).backward()

    report = gradviz.verify_accumulation(
        model, window, lambda: F.cross_entropy(model(tokens), labels).backward()
    )
    assert codes(report) == []
    assert {layer.layer for layer in report.layers} == {"words.weight", "inner.weight", "inner.bias"}
