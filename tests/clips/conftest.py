import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def raw(synthetic_raw, tmp_path) -> Path:
    """A copy of the generated data set that a test may damage."""
    return Path(shutil.copytree(synthetic_raw, tmp_path / "raw"))


@pytest.fixture(scope="session")
def one_file(synthetic_raw) -> Path:
    return next(iter(sorted(synthetic_raw.glob("train_landmark_files/*/*.parquet"))))


@pytest.fixture(scope="session")
def table(one_file) -> pa.Table:
    """All rows of a clip as pyarrow reads them."""
    return pq.read_table(one_file)
