"""Each file of a run cut short or with a bit flipped: identical numbers, or the file is named; never other numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gradviz.store import sample_folder
from gradviz.store import tail as tails
from tests.faults.faulty_disk import FaultyDisk
from tests.faults.recording import record
from tests.faults.spoiling import cuts, flipped, spoiled

SAMPLE = "vanishing-deep-sigmoid"  # the one with every kind of part


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two segments and a few rows, with every kind of part: a file of it is mostly footer."""
    monkeypatch.setattr(tails, "SEGMENT_EVENTS", 12)
    return record(tmp_path / "runs", FaultyDisk()).path


def flip(run: Path, flips: int, seed: int) -> int:
    """Flip bits at random, each file in its turn; returns how many were noticed."""
    noticed, chance = 0, np.random.default_rng(seed)
    files = list(spoiled(run))
    for number in range(flips):
        file = files[number % len(files)]
        content = file.path.read_bytes()
        bit = int(chance.integers(8 * len(content)))
        noticed += file.check(flipped(content, bit), f"{file.path.name}: bit {bit % 8} of byte {bit // 8}")
    return noticed


def test_a_flipped_bit_never_changes_a_number(run: Path) -> None:
    assert flip(run, 30, seed=1) > 15


def test_a_column_whose_name_is_damaged_is_not_taken_for_one_of_an_older_part(run: Path) -> None:
    """A part without `weight_l2` is one of older versions: all null. A renamed column is not."""
    for file in spoiled(run):
        content = file.path.read_bytes()
        for name in (b"weight_l2", b"l2_squares_sum", b"loss_weight", b"tokens"):
            for place in (content.find(name), content.rfind(name)):
                if file.path.suffix == ".parquet" and place >= 0:
                    assert file.check(flipped(content, 8 * place), f"{name!r} in {file.path}")


def test_a_file_that_was_cut_short_is_named(run: Path) -> None:
    for file in spoiled(run):
        content = file.path.read_bytes()
        for length in (0, 4, len(content) // 2, len(content) - 1):
            assert file.check(content[:length], f"{file.path.name} cut to {length}"), (file.path, length)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_flipped_bits_never_change_a_number(run: Path, seed: int) -> None:
    assert flip(run, 250, seed=100 + seed) > 125


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["events", "gradients", "overview", "distributions", "json"])
def test_every_file_of_a_sample_cut_at_every_block(tmp_path: Path, kind: str) -> None:
    run = Path(shutil.copytree(sample_folder() / SAMPLE, tmp_path / "runs" / SAMPLE))
    for file in spoiled(run):
        folder = file.path.parent.parent.name
        if kind == (folder if file.path.suffix == ".parquet" else "json"):
            content = file.path.read_bytes()
            for length in cuts(len(content), max(512, len(content) // 60)):
                assert file.check(content[:length], f"{file.path.name} cut to {length}")
