"""The libraries, with trainings in them: each is loaded by the first test that asks for it, and by no other process."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def accelerate() -> ModuleType:
    return importlib.import_module("accelerate_trainings")


@pytest.fixture(scope="session")
def transformers() -> ModuleType:
    return importlib.import_module("transformers_trainings")


@pytest.fixture(scope="session")
def lightning() -> ModuleType:
    return importlib.import_module("lightning_trainings")
