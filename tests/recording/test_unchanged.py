"""P1 and P2: training is the same with and without the recorder, and nothing of it stays behind."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import weakref
from collections.abc import Iterator

import pytest
import torch
from loop_story import batches, make_model, record
from torch import nn

from gradviz.errors import GradvizWarning
from gradviz.recording import Recorder
from gradviz.recording.board import GradientBoard
from gradviz.schema import RunState
from tests.forking import Forked

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
}


class Model(nn.Module):
    """Something of everything: convolution, normalisation, dropout, an embedding, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(12, 6)
        self.conv = nn.Conv1d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(6, 12, bias=False)
        self.head.weight = self.table.weight

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.conv(self.table(codes).transpose(1, 2))).transpose(1, 2)
        out: torch.Tensor = self.head(self.drop(hidden.relu()))
        return out


def trained(kind: str, dtype: torch.dtype, *, watched: bool, clip: bool) -> list[torch.Tensor]:
    """Everything that training leaves: parameters, buffers, gradients, optimizer state, RNG state."""
    torch.manual_seed(0)
    model = Model().to(dtype)
    optimizer = OPTIMIZERS[kind](model.parameters())
    recorder = record(model, optimizer)[0] if watched else Recorder()
    with recorder:
        for i in range(10):
            codes = torch.randint(12, (4, 9))
            loss = nn.functional.cross_entropy(model(codes).flatten(0, 1).float(), codes.flatten()) / 4
            recorder.log(loss=loss)
            loss.backward()
            if (i + 1) % 4 == 0:
                if clip:
                    nn.utils.clip_grad_norm_(model.parameters(), 0.05)
                optimizer.step()
                optimizer.zero_grad()
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [
        *model.state_dict().values(),
        *(p.grad for p in model.parameters() if p.grad is not None),
        *(value for value in states if isinstance(value, torch.Tensor)),
        torch.get_rng_state(),
    ]


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_is_bit_identical(kind: str, dtype: torch.dtype, clip: bool) -> None:
    bare = trained(kind, dtype, watched=False, clip=clip)
    watched = trained(kind, dtype, watched=True, clip=clip)
    assert len(bare) == len(watched) > 8
    for a, b in zip(bare, watched, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_gradients_are_the_same_objects_and_steal_as_before() -> None:
    """The engine hands the first gradient over without a copy; a reference kept by a hook would force one."""
    model = make_model()
    arrived: list[int] = []
    recorder, _ = record(model)
    model[0].weight.register_hook(lambda g: arrived.append(g.data_ptr()))
    model(batches(1)[0]).sum().backward()
    assert model[0].weight.grad is not None
    assert arrived == [model[0].weight.grad.data_ptr()]
    recorder.close()


def hooks_on(model: nn.Module) -> Iterator[object]:
    for parameter in model.parameters():
        yield from (parameter._backward_hooks or {}).values()
        yield from (parameter._post_accumulate_grad_hooks or {}).values()
    for module in model.modules():
        yield from module._forward_hooks.values()
        yield from module._backward_hooks.values()


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_after_close(fails: bool) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    original = torch.autograd.backward
    recorder, writer = record(model, optimizer)
    assert list(hooks_on(model))
    assert torch.autograd.backward is not original
    if fails:
        with pytest.raises(ZeroDivisionError, match="yours"), recorder:
            raise ZeroDivisionError("yours")
        assert (writer.state, writer.reason) == (RunState.CRASHED, "ZeroDivisionError")
    else:
        recorder.close()
        recorder.close()
        assert writer.state is RunState.FINISHED
    assert not list(hooks_on(model))
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert torch.autograd.backward is original
    assert {name: set(vars(module)) for name, module in model.named_modules()} == attributes
    model(batches(1)[0]).sum().backward()
    optimizer.step()
    assert not writer.of(1)  # type: ignore[arg-type]


def test_reference_counts_alone_free_everything() -> None:
    warm = make_model()
    first = torch.optim.SGD(warm.parameters(), lr=0.1)
    warm(batches(1)[0]).sum().backward()
    first.step()  # torch loads its compiler at the first optimizer of a process, and that leaves cycles
    gc.collect()
    gc.disable()
    try:
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder, writer = record(model, optimizer)
        for x in batches(4):
            model(x).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        gone = [weakref.ref(thing) for thing in (recorder, model, model[0].weight, recorder._observer)]
        del recorder, model, optimizer, writer
        assert [ref() for ref in gone] == [None] * 4
    finally:
        gc.enable()


def test_a_dropped_recorder_takes_its_hooks_along() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    original = getattr(torch.autograd.backward, "__wrapped__", torch.autograd.backward)
    recorder, writer = record(model)
    del recorder
    events = len(writer.events)
    for _ in range(2):
        model(batches(1)[0]).sum().backward()
        optimizer.step()
    assert len(writer.events) == events
    assert not list(hooks_on(model))
    assert torch.autograd.backward is original


def test_copies_and_pickles_are_inert() -> None:
    model = make_model()
    recorder, writer = record(model)
    for twin in (copy.copy(recorder), copy.deepcopy(recorder), pickle.loads(pickle.dumps(recorder))):  # noqa: S301
        assert type(twin) is Recorder
        assert twin.run_path is None
        with twin:
            twin.log(loss=1.0)
    twin_model = copy.deepcopy(model)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    assert not list(hooks_on(twin_model))
    twin_model(batches(1)[0]).sum().backward()
    recorder.close()
    assert writer.events == [], "a copy's training is not this run's"


def test_our_own_failure_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError("a bug of ours")

    bare = make_model()
    bare(batches(1)[0]).sum().backward()
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    recorder, writer = record(model, optimizer)
    monkeypatch.setattr(GradientBoard, "see", broken)
    monkeypatch.setattr(GradientBoard, "look", broken)
    with pytest.warns(GradvizWarning) as warned:  # noqa: PT031  the whole story is watched
        model(batches(1)[0]).sum().backward()
        for _ in range(5):
            optimizer.step()
        recorder.close()
    for a, b in zip(bare.parameters(), model.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.equal(a.grad, b.grad)
    assert len(warned) == 2, "one for the first moment, one for giving up"
    assert "a bug of ours" in writer.errors[0]
    assert recorder._guard.disabled


def test_the_users_own_exception_passes_unchanged() -> None:
    model = make_model()
    recorder, _ = record(model)

    def stop(_gradient: torch.Tensor) -> None:
        raise KeyboardInterrupt

    model[0].weight.register_hook(stop)
    with pytest.raises(KeyboardInterrupt, match=r"^$"), recorder:
        model(batches(1)[0]).sum().backward()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_silent() -> None:
    script = """
import os, sys, torch, gradviz, pathlib, tempfile, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks of a process with threads
model = torch.nn.Linear(3, 2)
recorder = gradviz.watch(model, run_dir=tempfile.mkdtemp(), strict=True)
model(torch.ones(1, 3)).sum().backward()
child = os.fork()
if child == 0:
    model(torch.ones(1, 3)).sum().backward()
    recorder.log(loss=1.0)
    recorder.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
model(torch.ones(1, 3)).sum().backward()
recorder.close()
events = gradviz.open_run(recorder.run_path).events()
print(list(events["phase"]), gradviz.open_run(recorder.run_path).state)
"""
    process = Forked(script)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.strip() == "['reset', 'micro_step', 'micro_step'] finished"
    assert err == ""
