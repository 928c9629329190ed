"""`torch.compile` as everyone calls it, with its own backend and a C++ compiler: recorded as what is not compiled."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from loop_story import ListWriter, batches, record, rows, scalars
from torch import Tensor, nn
from two_windows import RIGHT, story

HEADERS = Path(sysconfig.get_path("include"), "Python.h")

pytestmark = [
    pytest.mark.soak,  # the first kernels take half a minute
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is missing: apt-get install g++"),
    pytest.mark.skipif(not HEADERS.exists(), reason=f"{HEADERS} is missing: apt-get install python3-dev"),
    pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning"),  # torch's own
]


class Block(nn.Module):
    """What a compiler makes one of: a norm, an activation and a sum around two layers. In float64, to compare."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.wide, self.narrow = nn.LayerNorm(5), nn.Linear(5, 16), nn.Linear(16, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(nn.functional.gelu(self.wide(self.norm(x))))


NAMES = [f"{layer}.{part}" for layer in ("norm", "wide", "narrow") for part in ("weight", "bias")]


class Trained(NamedTuple):
    """A training, its record if there is one, and the compiler's work up to the first update and after it."""

    weights: list[Tensor]
    writer: ListWriter | None
    first: dict[str, int]
    later: dict[str, int]


@pytest.fixture(scope="module", autouse=True)
def _kernels_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from torch._inductor import config

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("kernels")))
        with config.patch(cpp_cache_precompile_headers=False, compile_threads=1):
            yield


def train(compiled: str, *, watched: bool) -> Trained:
    """Two windows of two, with what is named compiled; `model-first` before it is watched."""
    counters = torch._dynamo.utils.counters
    torch._dynamo.reset()
    counters.clear()
    model: Any = Block()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    net = torch.compile(model) if compiled == "model-first" else model
    recorder, writer = record(net, optimizer) if watched else (None, None)
    net = torch.compile(model) if compiled == "model" else net

    def learn(x: Tensor) -> None:
        net(x).square().mean().backward()

    learn = torch.compile(learn) if compiled == "micro-step" else learn
    step: Any = torch.compile(optimizer.step) if compiled == "step" else optimizer.step
    work = []
    for i, x in enumerate(batches(4)):
        learn(x.double())
        if i % 2:
            step()
            optimizer.zero_grad()
            work.append({**counters["stats"], "frames": counters["frames"]["total"]})
    if recorder is not None:
        recorder.close()
        assert [layer.name for layer in recorder.watched.layers] == NAMES
    return Trained([p.detach() for p in model.parameters()], writer, *work)


@pytest.mark.parametrize("compiled", ["model", "model-first", "step", "micro-step"])
def test_what_is_compiled_is_recorded_as_what_is_not(compiled: str) -> None:
    ours, plain = train(compiled, watched=True).writer, train("nothing", watched=True).writer
    assert ours is not None
    assert plain is not None
    assert story(ours) == story(plain) == RIGHT
    hidden = {"loss_weight", "loss_reduction", "loss_elements"} if compiled == "micro-step" else set()
    for mine, other in zip(ours.events, plain.events, strict=True):
        np.testing.assert_allclose(rows(mine), rows(other), rtol=1e-6, atol=1e-12)
        expected = {name: value for name, value in scalars(other).items() if name not in hidden}
        assert scalars(mine) == pytest.approx(expected, rel=1e-6), (
            "a loss that is compiled along hides its graph"
        )


@pytest.mark.parametrize("compiled", ["model", "model-first", "step", "micro-step"])
def test_the_compiler_has_the_same_work_and_trains_the_same(compiled: str) -> None:
    """The same graphs, none of them again after the first window, and weights that are equal to the bit."""
    watched, bare = train(compiled, watched=True), train(compiled, watched=False)
    assert watched.first == watched.later
    graphs = ("calls_captured", "unique_graphs")
    assert [watched.later[name] for name in graphs] == [bare.later[name] for name in graphs]
    assert watched.later["unique_graphs"] > 0
    assert all(torch.equal(a, b) for a, b in zip(watched.weights, bare.weights, strict=True))
