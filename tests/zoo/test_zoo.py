"""Every code is raised by a real training that has the fault, and by no healthy one."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from gradviz.diagnostics import CHECKS, Level
from gradviz.diagnostics.wording import wording
from gradviz.texts import LANGUAGES
from tests.zoo.catalogue import HEALTHY, SICK, Sick, Training, diagnosed

MORE_SEEDS = range(1, 5)


def name_of(animal: Sick | Training) -> str:
    return getattr(animal, "training", animal).__name__


def check_sick(sick: Sick, folder: Path, seed: int) -> None:
    found = diagnosed(sick.training, folder, seed).findings
    assert (sick.code, sick.level) in {(finding.code, finding.level) for finding in found}
    if sick.layers:
        (told,) = (finding.layers for finding in found if finding.code == sick.code)
        assert told == sick.layers
    for finding, language in product(found, LANGUAGES):
        assert (
            "{" not in wording(finding, language).why
        )  # each number that the sentence names is in the evidence
    serious = {finding.code for finding in found if finding.level is not Level.INFO}
    assert serious <= {sick.code, *sick.also}


def check_healthy(training: Training, folder: Path, seed: int) -> None:
    found = diagnosed(training, folder, seed).findings
    assert [finding for finding in found if finding.level is not Level.INFO] == []


@pytest.mark.parametrize("sick", SICK, ids=name_of)
def test_a_sick_training_is_told_what_it_has(sick: Sick, tmp_path: Path) -> None:
    check_sick(sick, tmp_path, seed=0)


@pytest.mark.parametrize("training", HEALTHY, ids=name_of)
def test_a_healthy_training_is_left_alone(training: Training, tmp_path: Path) -> None:
    check_healthy(training, tmp_path, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", MORE_SEEDS)
@pytest.mark.parametrize("sick", SICK, ids=name_of)
def test_a_sick_training_is_told_with_other_seeds(sick: Sick, seed: int, tmp_path: Path) -> None:
    check_sick(sick, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", MORE_SEEDS)
@pytest.mark.parametrize("training", HEALTHY, ids=name_of)
def test_a_healthy_training_is_left_alone_with_other_seeds(
    training: Training, seed: int, tmp_path: Path
) -> None:
    check_healthy(training, tmp_path, seed)


def test_every_code_has_its_animal_and_twenty_are_healthy() -> None:
    assert {sick.code for sick in SICK} == set(CHECKS)
    assert len(HEALTHY) >= 20
