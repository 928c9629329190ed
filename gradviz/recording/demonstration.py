"""The training behind `gradviz demo`: a small character transformer on Python's own documentation.

Runs as a process of its own (`python -m gradviz.recording.demonstration`) and reports on standard output,
one JSON object a line: first `{"run": path}`, then `{"update": u, "loss": mean of the window}`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from gradviz.recording import watch

ACCUMULATION_STEPS = 4
MICRO_BATCHES = 50  # an epoch: 12 windows of 4 and a last one of 2, so that a short window is there to see
SEQUENCES, LENGTH, WIDTH, HEADS = 8, 64, 64, 4


class CharacterTransformer(nn.Module):
    """Two encoder layers under a causal mask; predicts the next character."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True)
            for _ in range(2)
        )
        self.head = nn.Linear(WIDTH, vocabulary)

    def forward(self, text: Tensor) -> Tensor:
        """Logits [sequences, length, vocabulary] of the next characters; `text` is [sequences, length]."""
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        hidden = self.characters(text) + self.positions.weight[: text.shape[1]]
        for block in self.blocks:
            hidden = block(hidden, src_mask=mask, is_causal=True)
        logits: Tensor = self.head(hidden)
        return logits


def documentation() -> tuple[Tensor, int]:
    """Python's help topics as character numbers, and how many different characters there are."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    return torch.tensor([number[character] for character in text]), len(number)


def epochs(text: Tensor, generator: torch.Generator) -> Iterator[list[Tensor]]:
    """Endless epochs of `MICRO_BATCHES` random micro-batches [sequences, length + 1]."""
    while True:
        starts = torch.randint(len(text) - LENGTH, (MICRO_BATCHES, SEQUENCES, 1), generator=generator)
        yield list(text[starts + torch.arange(LENGTH + 1)])


def train(updates: int, run_dir: Path | None) -> None:
    """Train for `updates` updates, recorded; report each on standard output."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a model only loses by sharing; the dashboard needs a core
    text, vocabulary = documentation()
    model = CharacterTransformer(vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    done = 0
    with watch(
        model, optimizer, run_dir=run_dir, name="demo", accumulation_steps=ACCUMULATION_STEPS
    ) as recorder:
        report(run=str(recorder.run_path))
        for loader in epochs(text, generator):
            window: list[Tensor] = []
            for i, batch in enumerate(loader):
                logits = model(batch[:, :-1])
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
                (loss / ACCUMULATION_STEPS).backward()
                window.append(loss.detach())
                if (i + 1) % ACCUMULATION_STEPS == 0 or i + 1 == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()
                    report(update=done, loss=float(torch.stack(window).mean()))
                    window.clear()
                    done += 1
                    if done == updates:
                        return


def report(**line: object) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the two options and train; 130 after Ctrl-C, as shells expect."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    try:
        train(options.updates, options.dir)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
