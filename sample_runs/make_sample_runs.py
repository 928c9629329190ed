"""Records the sample runs beside this file, anew: `python sample_runs/make_sample_runs.py [NAME ...]`.

Real trainings on real data (scikit-learn's digits; the manual that ships with Python), seeded, on the
CPU, in about a minute. Needs the `test` extra. An existing run of the same name is replaced.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from pydoc_data.topics import topics

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import gradviz

HERE = Path(__file__).parent
Batches = list[tuple[Tensor, Tensor]]


def digit_batches(batch: int, epochs: int) -> list[Batches]:
    """The 1,797 digits, shuffled anew each epoch, as micro-batches; the last one of an epoch may be short."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    orders = [torch.randperm(len(images)) for _ in range(epochs)]
    return [[(images[part], labels[part]) for part in order.split(batch)] for order in orders]


def text_batches(batch: int, length: int, count: int) -> tuple[Batches, int]:
    """Random windows of characters of Python's own manual, and the size of the alphabet."""
    text = "".join(topics[key] for key in sorted(topics))
    alphabet = sorted(set(text))
    code = {character: number for number, character in enumerate(alphabet)}
    codes = torch.tensor([code[character] for character in text])
    starts = torch.randint(len(codes) - length - 1, (count, batch))
    windows = codes[starts[..., None] + torch.arange(length + 1)]
    return [(window[:, :-1], window[:, 1:]) for window in windows], len(alphabet)


def windows_of(batches: Batches, n: int) -> Iterator[Batches]:
    """Groups of n micro-batches; the last one of an epoch may be short."""
    rest = iter(batches)
    while window := list(islice(rest, n)):
        yield window


def mlp(width: int, depth: int, activation: type[nn.Module]) -> nn.Sequential:
    sizes = [64, *[width] * depth]
    hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    epochs: list[Batches],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    *,
    n: int,
    name: str,
    run_dir: Path,
    reset: bool = True,
    distributions: bool = False,
) -> None:
    """The loop that gradviz is made for; a short window is divided by its own length, as is right."""
    with gradviz.watch(
        model,
        optimizer,
        run_dir=run_dir,
        name=name,
        accumulation_steps=n,
        distributions=distributions,
        strict=True,
    ) as recorder:
        for batches in epochs:
            for window in windows_of(batches, n):
                for inputs, labels in window:
                    loss = loss_of(model(inputs), labels)
                    recorder.log(loss=loss, samples=len(labels))
                    (loss / len(window)).backward()
                optimizer.step()
                if reset:
                    optimizer.zero_grad()


def healthy_digits(run_dir: Path, name: str) -> None:
    model = mlp(64, 3, nn.ReLU)
    epochs = digit_batches(batch=32, epochs=5)  # 57 micro-batches an epoch: the last window has 1
    train(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), epochs, F.cross_entropy,
          n=4, name=name, run_dir=run_dir)  # fmt: skip


def never_resets(run_dir: Path, name: str) -> None:
    model = mlp(64, 3, nn.ReLU)
    train(model, torch.optim.SGD(model.parameters(), lr=0.002), digit_batches(batch=32, epochs=2), F.cross_entropy,
          n=4, name=name, run_dir=run_dir, reset=False)  # fmt: skip


def vanishing_sigmoid(run_dir: Path, name: str) -> None:
    model = mlp(48, 10, nn.Sigmoid)
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), digit_batches(batch=32, epochs=3), F.cross_entropy,
          n=4, name=name, run_dir=run_dir, distributions=True)  # fmt: skip


def diverges_to_nan(run_dir: Path, name: str) -> None:
    model = mlp(64, 3, nn.ReLU)

    def squared(scores: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(scores, F.one_hot(labels, 10).float() * 10)

    train(model, torch.optim.SGD(model.parameters(), lr=3.0), digit_batches(batch=32, epochs=2), squared,
          n=4, name=name, run_dir=run_dir)  # fmt: skip


class CharacterModel(nn.Module):
    """A small transformer over characters."""

    def __init__(self, alphabet: int, width: int = 48, length: int = 48, depth: int = 3) -> None:
        super().__init__()
        self.token = nn.Embedding(alphabet, width)
        self.position = nn.Embedding(length, width)
        block = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, alphabet)

    def forward(self, codes: Tensor) -> Tensor:
        length = codes.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.token(codes) + self.position(torch.arange(length))
        scores: Tensor = self.head(self.norm(self.blocks(hidden, mask=mask, is_causal=True)))
        return scores


def healthy_transformer(run_dir: Path, name: str) -> None:
    batches, alphabet = text_batches(batch=8, length=48, count=8 * 100)
    model = CharacterModel(alphabet)

    def characters(scores: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(scores.flatten(0, 1), targets.flatten())

    train(model, torch.optim.AdamW(model.parameters(), lr=2e-3), [batches], characters,
          n=8, name=name, run_dir=run_dir)  # fmt: skip


def mixed_precision(run_dir: Path, name: str) -> None:
    """float16 autocast under a GradScaler that starts too high, and clipping of the unscaled gradient."""
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22, growth_interval=40)
    with gradviz.watch(
        model, optimizer, run_dir=run_dir, name=name, accumulation_steps=4, strict=True
    ) as recorder:
        for batches in digit_batches(batch=32, epochs=4):
            for window in windows_of(batches, 4):
                for inputs, labels in window:
                    with torch.autocast("cpu", dtype=torch.float16):
                        loss = F.cross_entropy(model(inputs), labels)
                    recorder.log(samples=len(labels))
                    scaler.scale(loss / len(window)).backward()
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 1.3)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()


SAMPLES: dict[str, Callable[[Path, str], None]] = {
    "healthy-digits-n4-short-last-window": healthy_digits,
    "never-resets": never_resets,
    "vanishing-deep-sigmoid": vanishing_sigmoid,
    "diverges-to-nan": diverges_to_nan,
    "healthy-transformer-n8": healthy_transformer,
    "mixed-precision-clipped": mixed_precision,
}


def record(name: str, folder: Path) -> Path:
    """Record the sample `name` into `folder / name`, replacing what is there; returns that path."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of a sum must not depend on the machine's cores
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            SAMPLES[name](Path(scratch), name)
        finally:
            torch.set_num_threads(threads)
        (run,) = (path for path in Path(scratch).iterdir() if (path / "run.json").exists())
        shutil.rmtree(folder / name, ignore_errors=True)
        return Path(shutil.move(run, folder / name))


if __name__ == "__main__":
    for sample in sys.argv[1:] or SAMPLES:
        path = record(sample, HERE)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"{path.name}: {size / 1000:.0f} kB")  # noqa: T201  a script
