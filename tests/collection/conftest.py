"""A small study whose captions decide every answer."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def names():
    return tuple(f"clip{i:02d}" for i in range(12))


@pytest.fixture
def captions(names):
    return {name: [f"Somebody does thing {i} at place {i * 7 % 5}."] for i, name in enumerate(names)}
