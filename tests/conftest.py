import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips; a test that asks for it is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ASL_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder} (ASL_SHARED_DATA names their folder)")
    return folder
