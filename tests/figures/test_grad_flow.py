"""The drop-in on real tensors of every kind, against plain float64."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import gradviz
from gradviz.errors import WatchError
from gradviz.texts import text

torch = pytest.importorskip("torch")


def network() -> Any:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    model(torch.randn(5, 4)).square().mean().backward()
    return model


def series(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def drawn(figure: go.Figure, name: str) -> dict[str, float]:
    """What a trace draws, by layer; the names stand at the marks of the hover."""
    (hovered,) = (trace for trace in figure.data if trace.text is not None)
    pairs = zip(hovered.text, series(figure, name).y, strict=True)
    return {layer: float(y) for layer, y in pairs if np.isfinite(y)}


def means(figure: go.Figure) -> dict[str, float]:
    return drawn(figure, "accumulated")


def test_mean_and_maximum_are_those_of_float64() -> None:
    model = network()
    figure = gradviz.plot_grad_flow(model.named_parameters())
    expected = {
        name: parameter.grad.double().abs().mean().item()
        for name, parameter in model.named_parameters()
        if not name.endswith("bias")
    }
    assert means(figure) == pytest.approx(expected, rel=1e-12)
    largest = [
        parameter.grad.abs().max().item() for name, parameter in model.named_parameters() if "weight" in name
    ]
    assert list(drawn(figure, text("figure.layer_flow.maximum")).values()) == largest


def test_the_model_itself_will_do() -> None:
    model = network()
    assert means(gradviz.plot_grad_flow(model)) == means(gradviz.plot_grad_flow(model.named_parameters()))


def test_only_parameters_called_bias_hide() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    named = [
        (name, parameter) for name in ("bias", "a.bias", "bias_net.weight", "a.bias_scale", "debias.weight")
    ]
    assert list(means(gradviz.plot_grad_flow(named))) == ["bias_net.weight", "a.bias_scale", "debias.weight"]
    assert len(means(gradviz.plot_grad_flow(named, skip_bias=False))) == 5


def with_gradient(gradient: Any, dtype: Any = None) -> list[tuple[str, Any]]:
    parameter = torch.nn.Parameter(torch.zeros(gradient.shape, dtype=dtype or gradient.dtype))
    parameter.grad = gradient
    return [("layer.weight", parameter)]


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]
)
def test_every_dtype(dtype: Any) -> None:
    gradient = torch.linspace(-3, 2, 1000).to(dtype)
    expected = float(np.mean(np.abs(gradient.to(torch.complex128).numpy())))
    assert means(gradviz.plot_grad_flow(with_gradient(gradient)))["layer.weight"] == pytest.approx(
        expected, rel=1e-6
    )


def test_half_precision_does_not_overflow_in_the_sum() -> None:
    gradient = torch.full((100_000,), 2.0, dtype=torch.float16)
    assert means(gradviz.plot_grad_flow(with_gradient(gradient))) == {"layer.weight": 2.0}


def test_sparse_gradients_count_their_zeros() -> None:
    embedding = torch.nn.Embedding(10, 4, sparse=True)
    embedding(torch.tensor([1, 1, 3])).sum().backward()
    expected = embedding.weight.grad.to_dense().abs().mean().item()
    assert means(gradviz.plot_grad_flow(embedding)) == {"weight": pytest.approx(expected)}


def test_none_empty_and_nan_are_told_apart() -> None:
    named = [
        *(("fine", parameter) for _, parameter in with_gradient(torch.ones(3))),
        ("none", torch.nn.Parameter(torch.ones(2))),
        *(("empty", parameter) for _, parameter in with_gradient(torch.zeros(0, 3))),
        *(("nan", parameter) for _, parameter in with_gradient(torch.tensor([1.0, float("nan")]))),
        *(("inf", parameter) for _, parameter in with_gradient(torch.tensor([1.0, float("inf")]))),
        ("frozen", torch.nn.Parameter(torch.ones(2), requires_grad=False)),
    ]
    figure = gradviz.plot_grad_flow(named, log=False)
    assert list(drawn(figure, text("figure.mark.none"))) == ["none"]
    assert list(drawn(figure, text("figure.mark.nonfinite"))) == ["nan", "inf"]
    assert means(figure) == {"fine": 1, "empty": 0}
    assert not any("frozen" in trace.text for trace in figure.data if trace.text is not None)


def test_the_model_is_left_as_it_was() -> None:
    model = network()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    gradviz.plot_grad_flow(model)
    assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())


def test_each_call_is_a_new_figure_and_before_backward_it_says_so() -> None:
    model = torch.nn.Linear(2, 2)
    first, second = gradviz.plot_grad_flow(model), gradviz.plot_grad_flow(model)
    assert first is not second
    assert "1 without a gradient" in first.layout.title.subtitle.text


def test_no_parameters_give_a_sentence() -> None:
    assert gradviz.plot_grad_flow([]).layout.annotations[0].text


@pytest.mark.parametrize("wrong", [3, None, ["weight"], [("weight", 3.0)], [torch.ones(2)]])
def test_anything_else_is_refused_in_one_sentence(wrong: Any) -> None:
    with pytest.raises(WatchError, match=r"Pass model\.named_parameters\(\)"):
        gradviz.plot_grad_flow(wrong)


def test_figures_load_neither_torch_nor_pandas() -> None:
    program = (
        "import sys, gradviz.figures; "
        "print([name for name in ('torch', 'pandas', 'streamlit') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
