"""What tests of several parts share; `factories` is importable from every test."""

import os
from pathlib import Path

import pytest
from factories import write_study


@pytest.fixture
def study(tmp_path):
    """Three runs of one subject as volumes."""
    return write_study(tmp_path / "bids")


@pytest.fixture(scope="session")
def haxby():
    """Folder of the Haxby slice, where ENCODING_REAL_DATA says so."""
    folder = os.environ.get("ENCODING_REAL_DATA")
    path = Path(folder or ".") / "haxby2001-slice"
    if not folder or not path.is_dir():
        pytest.skip("needs ENCODING_REAL_DATA, the folder that holds haxby2001-slice")
    return path
