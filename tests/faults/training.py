"""A small training that a test runs in a process of its own, to the same bits with and without the recorder."""

from __future__ import annotations

from pathlib import Path

from tests.forking import Forked

PRELUDE = """
import hashlib, os, resource, signal, sys, threading, time, warnings
from pathlib import Path
import torch
import gradviz
from gradviz.store import session as sessions, writer as writers
from gradviz.store.files import Disk

torch.set_num_threads(1)
runs = Path(sys.argv[1])
windows = 6

def build():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

def watched():
    sessions.LONGEST_PAUSE = 0.0  # the next try comes at once
    model, optimizer = build()
    return model, optimizer, gradviz.watch(model, optimizer, run_dir=runs)

def window(model, optimizer):
    for _ in range(2):
        model(torch.randn(4, 6)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()

def train(model, optimizer, between=lambda number: None):
    for number in range(windows):
        window(model, optimizer)
        between(number)
    return digest(model)

def digest(model):
    content = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    return hashlib.sha256(content + torch.get_rng_state().numpy().tobytes()).hexdigest()

def bare():
    model, optimizer = build()
    return train(model, optimizer)

def shown(path):
    return len(gradviz.open_run(path).events())

"""


def start(script: str, folder: Path, **environment: str) -> Forked:
    """Start a script after the prelude."""
    return Forked(PRELUDE + script, folder, **environment)


def run(script: str, folder: Path, *, code: int = 0) -> tuple[str, str]:
    """Run a script to its end; returns what it wrote to both streams."""
    process = start(script, folder)
    out, err = process.communicate()
    assert process.returncode == code, err
    return out.strip(), err
